// Run as a process of its own by shared.ts: `node keeper.ts <server> <run directory>`. It outlives the test process that asked
// first, holds the server, and ends with the run: told by the teardown, or by finding that the run's owner is gone.
import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { isAlive } from './lock.ts'
import { type ServerName, servers } from './shared-servers.ts'

const [name, runDirectory] = process.argv.slice(2) as [ServerName, string]
const owner = Number(readFileSync(path.join(runDirectory, 'owner'), 'utf8'))

const publish = (file: string, text: string): void => {
  const draft = path.join(runDirectory, `.${file}-${process.pid}`)
  writeFileSync(draft, text, { mode: 0o600 })
  // In one step: who reads it reads all of it.
  renameSync(draft, path.join(runDirectory, file))
}

publish(`${name}.pid`, String(process.pid))
try {
  const server = await servers[name].start(runDirectory)
  let ending = false
  const end = async (): Promise<void> => {
    if (ending) return
    ending = true
    await server[Symbol.asyncDispose]()
    // Nobody is left to do it.
    if (!isAlive(owner)) rmSync(runDirectory, { recursive: true, force: true })
    process.exit(0)
  }
  process.on('SIGTERM', () => void end()).on('SIGINT', () => void end())
  setInterval(() => {
    if (!isAlive(owner)) void end()
  }, 500)
  publish(`${name}.json`, JSON.stringify(server))
} catch (error) {
  publish(`${name}.failed`, error instanceof Error ? error.message : String(error))
  process.exit(1)
}
