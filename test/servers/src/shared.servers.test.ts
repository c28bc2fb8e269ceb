import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync, readdirSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import { afterEach, expect, test } from 'vitest'
import { privateFolder } from './folder.ts'
import { isAlive } from './lock.ts'
import { isListening } from './ports.ts'
import setup, { runDirectoryVariable } from './shared.ts'

const outer = process.env[runDirectoryVariable]
afterEach(() => {
  if (outer === undefined) delete process.env[runDirectoryVariable]
  else process.env[runDirectoryVariable] = outer
})

const use = (name: string): string => `
import { useServer } from ${JSON.stringify(path.join(import.meta.dirname, 'shared.ts'))}
const server = await useServer(${JSON.stringify(name)})
console.log(JSON.stringify({ port: server.port, ca: server.pki.ca.certificate, namespace: await server.namespace() }))`

async function inProcess(
  script: string,
  env: Readonly<Record<string, string | undefined>> = {},
): Promise<{ port: number; ca: string; namespace: string }> {
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', script], {
    env: { ...process.env, ...env },
    timeout: 60_000,
  })
  return JSON.parse(stdout) as never
}

const keeperIn = (run: string, name: string): number => Number(readFileSync(path.join(run, `${name}.pid`), 'utf8'))

test('processes that ask at once get one server; another kind has the same authority; the teardown stops all', async () => {
  delete process.env[runDirectoryVariable]
  const teardown = setup()
  const run = process.env[runDirectoryVariable] as string | undefined
  expect(run).toBeDefined()
  const [a, b, c] = await Promise.all([inProcess(use('redis')), inProcess(use('redis')), inProcess(use('nats'))])
  expect(a.port).toBe(b.port)
  expect(a.namespace).not.toBe(b.namespace)
  expect(a.ca).toBe(c.ca)
  const keepers = [keeperIn(run ?? '', 'redis'), keeperIn(run ?? '', 'nats')]
  expect(keepers.every((pid) => isAlive(pid))).toBe(true)
  await teardown()
  expect(keepers.some((pid) => isAlive(pid))).toBe(false)
  expect(existsSync(run ?? '')).toBe(false)
}, 60_000)

const ownInstance = `
import { startRedis } from ${JSON.stringify(path.join(import.meta.dirname, 'redis.ts'))}
console.log(JSON.stringify({ port: (await startRedis()).port }))`

test.for([
  ['shared, without the set-up', use('redis')],
  ['private', ownInstance],
] as const)('%s: the server ends with its process, even when that is killed', { timeout: 60_000 }, async ([, script]) => {
  const args = ['--input-type=module', '-e', `${script}\nsetInterval(() => {}, 1000)`]
  // A process that is killed cannot remove its folders; this one does it for it.
  const env = { ...process.env, [runDirectoryVariable]: undefined, TMPDIR: privateFolder('killed') }
  const child = spawn(process.execPath, args, { env })
  const [line] = (await once(child.stdout, 'data')) as [Buffer]
  const { port } = JSON.parse(line.toString()) as { port: number }
  expect(await isListening(port)).toBe(true)
  child.kill('SIGKILL')
  for (let i = 0; i < 100 && (await isListening(port)); i += 1) await sleep(50)
  expect(await isListening(port)).toBe(false)
})

test('a server that cannot start tells everybody who asks, with the command that helps', async () => {
  delete process.env[runDirectoryVariable]
  const teardown = setup()
  const run = process.env[runDirectoryVariable] ?? ''
  const failed = 'nats-server (NATS server) is not on this machine; run: npm run provision'
  writeFileSync(path.join(run, 'nats.failed'), failed)
  await expect(inProcess(use('nats'))).rejects.toThrow(failed)
  expect(readdirSync(run).filter((file) => file.endsWith('.pid'))).toEqual([])
  await teardown()
})
