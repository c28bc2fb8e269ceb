import { maxAuthorizationLength } from '@portcullis/core'
import type { Socket } from 'node:net'

/** The longest line, in characters: a credential at its bound, and the verb before it. */
export const maxLineLength = maxAuthorizationLength + 16

/** The lines that a peer writes, in order; fails at one that is too long, before its end has come. */
export async function* linesOf(socket: Socket): AsyncGenerator<string> {
  let rest = ''
  socket.setEncoding('utf8')
  for await (const chunk of socket.iterator({ destroyOnReturn: false }) as AsyncIterable<string>) {
    const lines = (rest + chunk).split('\n')
    rest = lines.pop() ?? ''
    for (const line of [...lines, rest]) if (line.length > maxLineLength) throw new RangeError('A line is too long.')
    yield* lines
  }
}

/** A line's first word, and what follows the space behind it. */
export function wordsOf(line: string): readonly [word: string, rest: string] {
  const space = line.indexOf(' ')
  return space === -1 ? [line, ''] : [line.slice(0, space), line.slice(space + 1)]
}
