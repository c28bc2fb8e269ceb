import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { appendFileSync, closeSync, openSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { onProcessEnd } from './process-end.ts'

export interface ChildOptions {
  name: string
  command: string
  args: readonly string[]
  /** Holds the log; the working directory too. */
  directory: string
  env?: Readonly<Record<string, string>>
  /** Run as this user, for servers that refuse to run as root. Only root can. */
  user?: string
  /** Asked again and again until true, with what the server has written since this start. */
  ready: (log: string) => boolean | Promise<boolean>
  readyWithinMs: number
  /** The signal that asks for an orderly end. Default SIGTERM. */
  stopSignal?: NodeJS.Signals
  /** Then SIGKILL. Default 10 s. */
  stopWithinMs?: number
}

/** One server process, and what a test does to it. */
export interface Child {
  /** Everything that the server has written so far, over all its restarts. */
  log(): string
  /** Ends it: the signal first, then SIGKILL to all its process group. Returns when it is gone. What it stored stays for {@link restart}. */
  stop(): Promise<void>
  /** Starts it again after {@link stop}, or ends it first; the same ports and data. Waits until it is ready. */
  restart(): Promise<void>
  /** Suspends it: connections stay open and nothing answers, as when a host hangs. */
  pause(): void
  resume(): void
  signal(signal: NodeJS.Signals): void
  /** Reads the log until the condition holds. Throws when the time is up. */
  waitForLog(condition: (log: string) => boolean, withinMs: number): Promise<void>
}

const running = new Set<number>()

// The last resort, when nobody stopped them in order.
onProcessEnd('early', () => {
  for (const pid of running) killGroup(pid, 'SIGKILL')
})

/** Starts a child and waits until it is ready. Throws with the end of its log if it ends or the time is up; it is gone by then. */
export async function startChild(options: ChildOptions): Promise<Child> {
  const logFile = path.join(options.directory, 'server.log')
  let current = await launch(options, logFile)
  return {
    log: () => readText(logFile),
    stop: () => end(current, options),
    restart: async () => {
      await end(current, options)
      current = await launch(options, logFile)
    },
    pause: () => killGroup(current.pid, 'SIGSTOP'),
    resume: () => killGroup(current.pid, 'SIGCONT'),
    signal: (signal) => {
      if (alive(current.process)) process.kill(current.pid, signal)
    },
    waitForLog: async (condition, withinMs) => {
      const deadline = performance.now() + withinMs
      while (!condition(readText(logFile))) {
        if (performance.now() > deadline)
          throw new Error(`${options.name} did not do it within ${withinMs} ms:\n${readText(logFile).slice(-2000)}`)
        await sleep(10)
      }
    },
  }
}

interface Launched {
  readonly process: ChildProcess
  readonly pid: number
}

async function launch(options: ChildOptions, logFile: string): Promise<Launched> {
  const before = readText(logFile).length
  const output = openSync(logFile, 'a')
  const { command, args } = wrapped(options)
  const child = spawn(command, args, {
    cwd: options.directory,
    env: { ...process.env, ...options.env },
    // Its own process group, so that a wrapper script's children end with it.
    detached: true,
    stdio: ['ignore', output, output],
  })
  closeSync(output)
  child.once('error', (error) => appendFileSync(logFile, `${error.message}\n`))
  const { pid } = child
  if (pid === undefined) {
    await sleep(10)
    throw new Error(`${options.name} could not be started: ${readText(logFile).slice(before)}`)
  }
  running.add(pid)
  child.once('exit', () => running.delete(pid))
  // A test process that is done must be able to end; its end kills the child.
  child.unref()
  const launched = { process: child, pid }
  const deadline = performance.now() + options.readyWithinMs
  while (alive(child)) {
    if (await options.ready(readText(logFile).slice(before))) return launched
    if (performance.now() > deadline) break
    await sleep(20)
  }
  const why = alive(child)
    ? `was not ready within ${options.readyWithinMs} ms`
    : `ended (${child.exitCode ?? child.signalCode}) while starting`
  await end(launched, options)
  throw new Error(`${options.name} ${why}:\n${readText(logFile).slice(before).slice(-3000)}`)
}

async function end(launched: Launched, options: ChildOptions): Promise<void> {
  const { process: child, pid } = launched
  // A suspended process takes no other signal.
  killGroup(pid, 'SIGCONT')
  if (alive(child)) {
    process.kill(pid, options.stopSignal ?? 'SIGTERM')
    const deadline = performance.now() + (options.stopWithinMs ?? 10_000)
    while (alive(child) && performance.now() < deadline) await sleep(5)
  }
  killGroup(pid, 'SIGKILL')
  // The kernel needs a moment; a process that outlives SIGKILL is a fault worth hearing of.
  for (let waitedMs = 0; alive(child); waitedMs += 5) {
    if (waitedMs > 5000) throw new Error(`${options.name} (process ${pid}) does not end`)
    await sleep(5)
  }
}

function alive(child: ChildProcess): boolean {
  return child.exitCode === null && child.signalCode === null
}

function killGroup(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(-pid, signal)
  } catch {
    // Nobody is left in the group.
  }
}

/** Where setpriv is there (Linux), the kernel itself ends the child if this process is killed before it can. */
function wrapped(options: ChildOptions): { command: string; args: readonly string[] } {
  const user = options.user !== undefined && process.getuid?.() === 0 ? options.user : undefined
  if (!hasSetpriv()) {
    if (user !== undefined) throw new Error(`${options.name} must not run as root, and setpriv (package util-linux) is not on this machine`)
    return { command: options.command, args: options.args }
  }
  const asUser = user === undefined ? [] : [`--reuid=${user}`, `--regid=${user}`, '--clear-groups']
  const whenOrphaned = ['--pdeathsig', options.stopSignal ?? 'SIGTERM']
  return { command: 'setpriv', args: [...asUser, ...whenOrphaned, '--', options.command, ...options.args] }
}

let setpriv: boolean | undefined

function hasSetpriv(): boolean {
  if (setpriv !== undefined) return setpriv
  try {
    execFileSync('setpriv', ['--pdeathsig', 'TERM', 'true'], { stdio: 'ignore' })
    setpriv = true
  } catch {
    setpriv = false
  }
  return setpriv
}

function readText(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return ''
  }
}
