import { basic, fileUserStore, passwordStore, type UserRecord } from '@portcullis/auth'
import { guard } from '@portcullis/core'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { randomBytes, scryptSync } from 'node:crypto'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { meanMicroseconds, readable } from './measure.ts'
import { login } from './requests.ts'

// The look-up is what is measured, not the hash: a cheap one, the same for all.
const salt = randomBytes(16)
const text = (bytes: Buffer): string => bytes.toString('base64').replace(/=+$/, '')
const hash = `$scrypt$ln=4,r=8,p=1$${text(salt)}$${text(scryptSync('correct horse', salt, 32, { N: 16, r: 8, p: 1 }))}`
const nameOf = (at: number): string => `user${at}@example.com`
// More than this the verified passwords of a store are not remembered.
const known = 1_000

/** Whether anything grows with the number of users, and what a reload of the file does to requests. */
export async function run({
  quick,
}: {
  quick: boolean
}): Promise<{ title: string; note?: string; columns: string[]; rows: (string | number)[][] }> {
  const rows: (string | number)[][] = []
  for (const count of quick ? [1_000, 10_000] : [1_000, 10_000, 100_000, 1_000_000]) {
    const table = new Map<string, UserRecord>(
      Array.from({ length: count }, (_, at) => [nameOf(at), { username: nameOf(at), password: hash }]),
    )
    const service = guard({
      authenticate: basic({ store: passwordStore({ name: 'bench', find: (name) => table.get(name) }), realm: 'bench' }),
    })
    const spread = Array.from({ length: known }, (_, at) => nameOf(Math.floor((at * count) / known)))
    for (const name of spread) await service.decide(login(name, 'correct horse'))
    const decide = await meanMicroseconds(quick ? 2_000 : 20_000, (at) => service.decide(login(spread[at % known] ?? '', 'correct horse')))
    const file = count > 100_000 ? ['–', '–', '–'] : await fileTimes(count)
    rows.push([count.toLocaleString('en'), readable(decide), ...file])
  }
  return {
    title: 'User stores: 1,000 to 1,000,000 users',
    note: 'The decision for a believed password, the users drawn from all over the store. The file is read at start in one go, and reloaded in slices while the process serves; its longest pause is that of the event loop.',
    columns: ['users', 'decide, believed', 'file: start', 'file: reload', 'longest pause'],
    rows,
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
