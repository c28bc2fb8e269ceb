import { spawn } from 'node:child_process'
import { closeSync, existsSync, openSync, readFileSync, readdirSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { privateFolder, removeFolder } from './folder.ts'
import { isAlive, withLock } from './lock.ts'
import { type ServerName, type Shared, openShared } from './shared-servers.ts'

/** Names the folder in which the servers of a run are written down; set by the global set-up, seen by every worker. */
export const runDirectoryVariable = 'PORTCULLIS_RUN_DIR'

/** vitest's global set-up: starts nothing, so that a run without such tests costs nothing. Returns the teardown, which stops what was started. */
export default function setup(): () => Promise<void> {
  // Whoever made an outer run (several vitest runs, one set of servers) also ends it.
  if (process.env[runDirectoryVariable] !== undefined) return async () => {}
  const runDirectory = newRunDirectory()
  process.env[runDirectoryVariable] = runDirectory
  return async () => {
    delete process.env[runDirectoryVariable]
    await stopAll(runDirectory)
    removeFolder(runDirectory)
  }
}

const opened = new Map<ServerName, Promise<unknown>>()
let ownRunDirectory: string | undefined

/**
 * The run's one server of this name: started by the first test that asks, used by the others, in whatever process they are.
 * Separate what you do in it by `namespace()`. Without the global set-up this process gets one of its own, which ends with it.
 * Throws if a part is not on this machine, with the command that installs it.
 */
export function useServer<Name extends ServerName>(name: Name): Promise<Shared<Name>> {
  let use = opened.get(name) as Promise<Shared<Name>> | undefined
  if (use === undefined) {
    ownRunDirectory ??= process.env[runDirectoryVariable] === undefined ? newRunDirectory() : undefined
    use = useIn(process.env[runDirectoryVariable] ?? ownRunDirectory ?? '', name)
    opened.set(name, use)
  }
  return use
}

function newRunDirectory(): string {
  const directory = privateFolder('run')
  writeFileSync(path.join(directory, 'owner'), String(process.pid))
  return directory
}

// Twice what the slowest server is given to start.
const useWithinMs = 180_000

async function useIn<Name extends ServerName>(runDirectory: string, name: Name): Promise<Shared<Name>> {
  const file = (ending: string): string => path.join(runDirectory, `${name}.${ending}`)
  const facts = file('json')
  if (!existsSync(facts)) {
    await withLock(file('lock'), useWithinMs, async () => {
      if (existsSync(facts) || existsSync(file('failed'))) return
      await startKeeper(runDirectory, name)
    })
  }
  // Asked and answered: the next test does not wait for the same failure again.
  if (existsSync(file('failed'))) throw new Error(readFileSync(file('failed'), 'utf8'))
  return openShared(name, readFileSync(facts, 'utf8'))
}

async function startKeeper(runDirectory: string, name: ServerName): Promise<void> {
  const log = openSync(path.join(runDirectory, `${name}.keeper.log`), 'a')
  const keeper = spawn(process.execPath, [path.join(import.meta.dirname, 'keeper.ts'), name, runDirectory], {
    detached: true,
    stdio: ['ignore', log, log],
  })
  closeSync(log)
  keeper.unref()
  const file = (ending: string): string => path.join(runDirectory, `${name}.${ending}`)
  const deadline = performance.now() + useWithinMs
  while (!existsSync(file('json')) && !existsSync(file('failed'))) {
    const ended = keeper.exitCode !== null || keeper.signalCode !== null
    if (ended || performance.now() > deadline) {
      // It may have said why in its last moment.
      if (ended && existsSync(file('failed'))) return
      throw new Error(
        `the keeper of ${name} ${ended ? 'ended' : 'did not answer'}:\n${readFileSync(path.join(runDirectory, `${name}.keeper.log`), 'utf8').slice(-3000)}`,
      )
    }
    await sleep(20)
  }
}

// The slowest server needs about ten seconds to stop on a busy machine.
const stopWithinMs = 30_000

async function stopAll(runDirectory: string): Promise<void> {
  const keepers = readdirSync(runDirectory)
    .filter((file) => file.endsWith('.pid'))
    .map((file) => Number(readFileSync(path.join(runDirectory, file), 'utf8')))
  for (const pid of keepers) if (isAlive(pid)) process.kill(pid, 'SIGTERM')
  const deadline = performance.now() + stopWithinMs
  while (keepers.some((pid) => isAlive(pid)) && performance.now() < deadline) await sleep(20)
  // Where the kernel knows how, its server ends with it.
  for (const pid of keepers) if (isAlive(pid)) process.kill(pid, 'SIGKILL')
}
