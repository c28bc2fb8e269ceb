/** What the tests of this package share: the command as a real process. Not part of what is published. */
import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable, Writable } from 'node:stream'
import { run } from './run.ts'

/** How Node runs the sources. */
export const program = [process.execPath, '--conditions=@portcullis/source', join(import.meta.dirname, 'main.ts')] as const

export interface Ended {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

/** Runs `portcullis` with these arguments, stdin being `input`. */
export async function portcullis(args: readonly string[], input: string | Buffer = '', cwd?: string): Promise<Ended> {
  const [node, ...before] = program
  return new Promise((resolve, reject) => {
    const child = spawn(node, [...before, ...args], { cwd, timeout: 30_000 })
    let stdout = ''
    let stderr = ''
    child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text))
    child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text))
    child.once('error', reject)
    child.once('close', (code) => resolve({ code, stdout, stderr }))
    // A command that does not read closes it first.
    child.stdin.on('error', () => undefined)
    child.stdin.end(input)
  })
}

/** The same inside of this process, where the subject is what a command says and not how it starts. */
export async function here(args: readonly string[], input: string | Buffer = ''): Promise<Ended> {
  const read = { stdout: '', stderr: '' }
  const collect = (name: 'stdout' | 'stderr'): Writable =>
    new Writable({
      write(chunk, _encoding, done) {
        read[name] += String(chunk)
        done()
      },
    })
  const code = await run(args, {
    stdin: Readable.from(input === '' ? [] : [Buffer.from(input)], { objectMode: false }),
    stdout: collect('stdout'),
    stderr: collect('stderr'),
  })
  return { code, ...read }
}

/** A folder that is gone afterwards. */
export class Folder implements Disposable {
  readonly path = mkdtempSync(join(tmpdir(), 'portcullis-cli-'))

  write(name: string, content: string | Buffer): string {
    const path = join(this.path, name)
    writeFileSync(path, content)
    return path
  }

  [Symbol.dispose](): void {
    rmSync(this.path, { recursive: true })
  }
}
