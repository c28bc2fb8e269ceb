import { basic, fileUserStore, passwordStore, type UserRecord } from '@portcullis/auth'
import { guard } from '@portcullis/core'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { randomBytes, scryptSync } from 'node:crypto'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { measure, oneByOne, readable, withSpread, type Variant } from '../measure.ts'
import type { RunOptions, Table } from '../table.ts'
import { login } from './requests.ts'

// The look-up is what is measured, not the hash: a cheap one, the same for all.
const salt = randomBytes(16)
const text = (bytes: Buffer): string => bytes.toString('base64').replace(/=+$/, '')
const hash = `$scrypt$ln=4,r=8,p=1$${text(salt)}$${text(scryptSync('correct horse', salt, 32, { N: 16, r: 8, p: 1 }))}`
const nameOf = (at: number): string => `user${at}@example.com`
// More than this the verified passwords of a store are not remembered.
const known = 1_000
const counts = [1_000, 10_000, 100_000, 1_000_000]

/** Whether anything grows with the number of users, and what a reload of the file does to requests. */
export async function run({ quick }: RunOptions): Promise<Table> {
  const variants: Variant[] = []
  const files = new Map<number, string[]>()
  for (const count of counts) {
    const table = new Map<string, UserRecord>(
      Array.from({ length: count }, (_, at) => [nameOf(at), { username: nameOf(at), password: hash }]),
    )
    const service = guard({
      authenticate: basic({ store: passwordStore({ name: 'bench', find: (name) => table.get(name) }), realm: 'bench' }),
    })
    const names = Array.from({ length: known }, (_, at) => nameOf(Math.floor((at * count) / known)))
    for (const name of names) await service.decide(login(name, 'correct horse'))
    let at = 0
    variants.push(oneByOne(`${count}`, () => service.decide(login(names[at++ % known] ?? '', 'correct horse'))))
    files.set(count, count > (quick ? 10_000 : 100_000) ? ['–', '–', '–'] : await fileTimes(count))
  }
  const measured = await measure(variants, quick ? { rounds: 7, roundMs: 10 } : { rounds: 40, roundMs: 50 })
  return {
    title: 'User stores: 1,000 to 1,000,000 users',
    note: 'Processor time of the decision for a believed password, the users drawn from all over the store; median of interleaved rounds (± half the distance of the quartiles). The file is read at start in one go, and reloaded in slices while the process serves; its longest pause is that of the event loop.',
    columns: ['users', 'decide, believed', 'file: start', 'file: reload', 'longest pause'],
    rows: counts.map((count) => [count.toLocaleString('en'), withSpread(measured.get(`${count}`)), ...(files.get(count) ?? [])]),
  }
}

async function fileTimes(count: number): Promise<string[]> {
  const folder = await mkdtemp(path.join(tmpdir(), 'portcullis-bench-'))
  try {
    const file = path.join(folder, 'users.toml')
    await writeFile(
      file,
      Array.from({ length: count }, (_, at) => `[[users]]\nusername = "${nameOf(at)}"\npassword = "${hash}"\nscopes = ["read"]\n`).join(''),
    )
    const begun = performance.now()
    using store = fileUserStore({ name: 'bench', file, checkEveryMs: 3_600_000 })
    const start = performance.now() - begun
    const pauses = monitorEventLoopDelay({ resolution: 1 })
    pauses.enable()
    const again = performance.now()
    await store.reload()
    const reload = performance.now() - again
    pauses.disable()
    return [readable(start * 1000), readable(reload * 1000), readable(pauses.max / 1000)]
  } finally {
    await rm(folder, { recursive: true })
  }
}
