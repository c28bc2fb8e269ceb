import { decodeUnverified, maxTokenLength } from '@portcullis/jwt'
import { command } from '../command.ts'
import { usageError } from '../mistake.ts'
import { linesOf, print, writeLine, type Terminal } from '../terminal.ts'

/** `portcullis jwt decode` */
export const jwtDecode = command({
  name: 'jwt decode',
  summary: 'Shows what a token says, without verifying anything.',
  argument: 'TOKEN',
  details: 'The token is an argument, or stands on stdin. Whoever sent it may have written every word of it.',
  options: {},
  async run({ json }, token, terminal) {
    const { header, claims } = decodeUnverified(token ?? (await firstLine(terminal)))
    await print(terminal, json, { verified: false, header, claims }, JSON.stringify({ header, claims }, undefined, 2))
    if (json !== true) await writeLine(terminal.stderr, 'Nothing of this was verified.')
    return 0
  },
})

async function firstLine({ stdin }: Terminal): Promise<string> {
  for await (const line of linesOf(stdin, maxTokenLength)) return line
  throw usageError('There is no token, neither as an argument nor on stdin.')
}
