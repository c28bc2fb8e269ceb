import { readFile } from 'node:fs/promises'
import { createInterface } from 'node:readline'
import { Writable } from 'node:stream'
import { ConfigurationError, secret, type Secret } from '@portcullis/core'
import type { CliErrorCode } from './errors.ts'
import { fileError, usageError } from './mistake.ts'
import type { Terminal } from './terminal.ts'

// A passphrase of any length, and no file by mistake.
const maxLength = 65_536

/**
 * Reads a secret: out of the file if one is named (`-` is stdin), else from a prompt that shows nothing, else from
 * stdin. One line end at its end is no part of it.
 */
export async function readSecret(terminal: Terminal, what: string, file: string | undefined): Promise<Secret> {
  const text =
    file !== undefined && file !== '-'
      ? await contentOf(file)
      : terminal.stdin.isTTY === true
        ? await prompt(terminal, `${what}: `)
        : await all(terminal)
  const content = text.replace(/\r?\n$/, '')
  if (content === '') throw usageError(`The ${what.toLowerCase()} is empty.`)
  return secret(content)
}

/** Asks a second time where somebody types what nobody sees. */
export async function readNewSecret(terminal: Terminal, what: string, file: string | undefined): Promise<Secret> {
  const first = await readSecret(terminal, what, file)
  const isTyped = terminal.stdin.isTTY === true && (file === undefined || file === '-')
  if (isTyped && !first.equals(await prompt(terminal, `${what} again: `))) throw usageError('The two are not the same.')
  return first
}

/** The text of a file of at most `limit` bytes. Throws `ERR_CLI_FILE`. */
export async function contentOf(path: string, limit = maxLength): Promise<string> {
  const bytes = await readFile(path).catch(() => {
    throw fileError(path, 'cannot be read')
  })
  return decoded(bytes, path, limit)
}

async function all({ stdin }: Terminal): Promise<string> {
  const chunks: Buffer[] = []
  let length = 0
  for await (const chunk of stdin as AsyncIterable<Buffer | string>) {
    chunks.push(Buffer.from(chunk))
    length += chunk.length
    if (length > maxLength) break
  }
  return decoded(Buffer.concat(chunks), 'stdin')
}

function decoded(bytes: Uint8Array, from: string, limit = maxLength): string {
  if (bytes.length > limit) throw fileError(from, `has more than ${limit} bytes`)
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch {
    throw fileError(from, 'is no UTF-8')
  }
}

/** Asks on the terminal, without showing what is typed. The question goes to stderr, so that stdout has the result alone. */
function prompt({ stdin, stderr }: Terminal, question: string): Promise<string> {
  const nowhere = new Writable({ write: (_chunk, _encoding, done) => done() })
  const line = createInterface({ input: stdin, output: nowhere, terminal: true, historySize: 0 })
  stderr.write(question)
  return new Promise<string>((resolve, reject) => {
    line.once('line', resolve)
    line.once('SIGINT', () => line.close())
    line.once('close', () => reject(new ConfigurationError<CliErrorCode>('ERR_CLI_INTERRUPTED', 'Nothing was entered.')))
  }).finally(() => {
    line.close()
    stderr.write('\n')
  })
}
