import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'

export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}

/** Runs work while no other process runs work under the same lock file. A lock whose holder has died is taken over. */
export async function withLock<T>(file: string, withinMs: number, work: () => Promise<T>): Promise<T> {
  const deadline = performance.now() + withinMs
  while (!tryLock(file)) {
    if (performance.now() > deadline) throw new Error(`${file} has been locked for ${withinMs} ms`)
    await sleep(50)
  }
  try {
    return await work()
  } finally {
    rmSync(file, { force: true })
  }
}

function tryLock(file: string): boolean {
  try {
    writeFileSync(file, String(process.pid), { flag: 'wx' })
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    const holder = Number(readText(file))
    // Zero: created, and not yet written.
    if (holder > 0 && !isAlive(holder)) rmSync(file, { force: true })
    return false
  }
}

function readText(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return ''
  }
}
