import { basic, memoryUserStore } from '@portcullis/auth'
import { guard } from '@portcullis/core'
import { hashPassword, verifyPassword, type PasswordPolicy } from '@portcullis/crypto'
import { measure, oneByOne, perSecond, withSpread, type Variant } from '../measure.ts'
import type { RunOptions, Table } from '../table.ts'
import { login } from './requests.ts'

const policies: readonly (readonly [string, PasswordPolicy])[] = [
  ['scrypt 2^14, r 8, p 5 (the default)', { algorithm: 'scrypt' }],
  ['scrypt 2^17, r 8, p 1', { algorithm: 'scrypt', costLog2: 17, parallelism: 1 }],
  ['argon2id 19 MiB, 2 passes', { algorithm: 'argon2id' }],
  ['argon2id 64 MiB, 3 passes', { algorithm: 'argon2id', memoryKib: 65_536, passes: 3 }],
]

/** What a login costs: the first within a minute, which hashes, and those after it, which are believed. */
export async function run({ quick }: RunOptions): Promise<Table> {
  const variants: Variant[] = []
  for (const [name, policy] of policies) {
    const hash = await hashPassword('correct horse', { policy })
    const store = memoryUserStore({ name: 'bench', users: [{ username: 'tom', password: hash }] })
    const service = guard({ authenticate: basic({ store, realm: 'bench' }) })
    await service.decide(login('tom', 'correct horse'))
    variants.push(
      oneByOne(`${name}: first`, () => verifyPassword('correct horse', hash)),
      oneByOne(`${name}: again`, () => service.decide(login('tom', 'correct horse'))),
    )
  }
  const measured = await measure(variants, { time: 'wall', rounds: quick ? 5 : 15, roundMs: quick ? 50 : 500 })
  return {
    title: 'Basic: password verification',
    note: 'First login of a user within a minute (one at a time) and the whole decision for a believed one, header parsing included; median of interleaved rounds (± half the distance of the quartiles). One core.',
    columns: ['stored as', 'verify', 'verified per second', 'decide, believed', 'decided per second'],
    rows: policies.map(([name]) => {
      const [first, again] = [measured.get(`${name}: first`), measured.get(`${name}: again`)]
      return [name, withSpread(first), perSecond(first?.median), withSpread(again), perSecond(again?.median)]
    }),
  }
}
