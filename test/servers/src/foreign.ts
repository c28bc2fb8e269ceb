import { spawn } from 'node:child_process'
import { pathOf } from './locate.ts'
import type { ToolName, tools } from './tools.ts'

export interface Ran {
  /** Null if it had to be killed when the time was up. */
  readonly status: number | null
  readonly output: string
  /** Both streams together, for what a client says about a refusal. */
  readonly said: string
}

/**
 * Runs a foreign client to its end and returns what it printed; a refusal is an answer, not an exception. Throws only if the
 * client is not on this machine.
 */
export function runForeign<Name extends ToolName>(
  tool: Name,
  part: keyof (typeof tools)[Name]['paths'] & string,
  args: readonly string[],
  options: { input?: string; env?: Readonly<Record<string, string>>; withinMs?: number } = {},
): Promise<Ran> {
  const command = pathOf(tool, part)
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, {
      env: { ...process.env, ...options.env },
      timeout: options.withinMs ?? 15_000,
      killSignal: 'SIGKILL',
    })
    let [output, said] = ['', '']
    child.stdout.on('data', (chunk: Buffer) => {
      output += chunk.toString()
      said += chunk.toString()
    })
    child.stderr.on('data', (chunk: Buffer) => {
      said += chunk.toString()
    })
    child.stdin.on('error', () => {
      // It ended before it had read all: its answer says why.
    })
    child.stdin.end(options.input ?? '')
    child.once('error', reject)
    child.once('close', (status) => resolve({ status, output, said }))
  })
}
