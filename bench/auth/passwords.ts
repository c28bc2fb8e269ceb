import { basic, memoryUserStore } from '@portcullis/auth'
import { guard } from '@portcullis/core'
import { hashPassword, verifyPassword, type PasswordPolicy } from '@portcullis/crypto'
import { medianMicroseconds, meanMicroseconds, perSecond, readable } from './measure.ts'
import { login } from './requests.ts'

const policies: readonly (readonly [string, PasswordPolicy])[] = [
  ['scrypt 2^14, r 8, p 5 (the default)', { algorithm: 'scrypt' }],
  ['scrypt 2^17, r 8, p 1', { algorithm: 'scrypt', costLog2: 17, parallelism: 1 }],
  ['argon2id 19 MiB, 2 passes', { algorithm: 'argon2id' }],
  ['argon2id 64 MiB, 3 passes', { algorithm: 'argon2id', memoryKib: 65_536, passes: 3 }],
]

/** What a login costs: the first within a minute, which hashes, and those after it, which are believed. */
export async function run({
  quick,
}: {
  quick: boolean
}): Promise<{ title: string; note?: string; columns: string[]; rows: (string | number)[][] }> {
  const rows: (string | number)[][] = []
  for (const [name, policy] of policies) {
    const hash = await hashPassword('correct horse', { policy })
    const once = await medianMicroseconds(quick ? 300 : 3_000, () => verifyPassword('correct horse', hash))
    const store = memoryUserStore({ name: 'bench', users: [{ username: 'tom', password: hash }] })
    const service = guard({ authenticate: basic({ store, realm: 'bench' }) })
    await service.decide(login('tom', 'correct horse'))
    const again = await meanMicroseconds(quick ? 2_000 : 50_000, () => service.decide(login('tom', 'correct horse')))
    rows.push([name, readable(once), perSecond(once), readable(again), perSecond(again)])
  }
  return {
    title: 'Basic: password verification',
    note: 'First login of a user within a minute (median, one at a time) and the whole decision for a believed one, header parsing included. One core.',
    columns: ['stored as', 'verify', 'verified per second', 'decide, believed', 'decided per second'],
    rows,
  }
}
