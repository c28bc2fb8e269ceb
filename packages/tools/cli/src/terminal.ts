import { once } from 'node:events'

/** Where a command reads and writes. */
export interface Terminal {
  readonly stdin: NodeJS.ReadableStream & { readonly isTTY?: boolean }
  readonly stdout: NodeJS.WritableStream
  readonly stderr: NodeJS.WritableStream
}

/** Writes a line, and waits where the reader is slower. */
export async function writeLine(stream: NodeJS.WritableStream, line: string): Promise<void> {
  if (!stream.write(`${line}\n`)) await once(stream, 'drain')
}

/** Prints a result: as one line of JSON, or as text. */
export async function print({ stdout }: Terminal, isJson: boolean | undefined, result: object, text: string): Promise<void> {
  await writeLine(stdout, isJson === true ? JSON.stringify(result) : text)
}

/** The lines of a stream, however it is cut. Of a line that is longer than `maxLength` only the first characters are kept, one more than that. */
export async function* linesOf(stream: NodeJS.ReadableStream, maxLength: number): AsyncGenerator<string> {
  stream.setEncoding('utf8')
  let line = ''
  let isOpen = false
  for await (const chunk of stream as AsyncIterable<string>) {
    const parts = chunk.split('\n')
    for (const [at, part] of parts.entries()) {
      if (at > 0) {
        yield line.replace(/\r$/, '')
        line = ''
      }
      line += part.slice(0, maxLength + 1 - line.length)
    }
    isOpen = parts.at(-1) !== '' || (parts.length === 1 && isOpen)
  }
  if (isOpen) yield line.replace(/\r$/, '')
}
