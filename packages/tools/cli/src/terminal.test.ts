import { Readable } from 'node:stream'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { linesOf } from './terminal.ts'

async function read(chunks: readonly string[], maxLength = 100): Promise<string[]> {
  const lines: string[] = []
  for await (const line of linesOf(
    Readable.from(
      chunks.map((chunk) => Buffer.from(chunk)),
      { objectMode: false },
    ),
    maxLength,
  ))
    lines.push(line)
  return lines
}

describe('lines of a stream', () => {
  it('are the same however it is cut', async () => {
    const text = fc.array(fc.constantFrom('a', 'é', '\n', '\r\n', 'token'), { maxLength: 20 }).map((parts) => parts.join(''))
    await fc.assert(
      fc.asyncProperty(text, fc.array(fc.nat(60), { maxLength: 6 }), async (whole, cuts) => {
        const at = [0, ...cuts.map((cut) => Math.min(cut, whole.length)).toSorted((a, b) => a - b), whole.length]
        const chunks = at.slice(1).map((end, before) => whole.slice(at[before], end))
        const lines = whole.split('\n').map((line) => line.replace(/\r$/, ''))
        expect(await read(chunks.filter((chunk) => chunk !== ''))).toEqual(
          whole.endsWith('\n') || whole === '' ? lines.slice(0, -1) : lines,
        )
      }),
    )
  })

  it('are not kept beyond the longest that is of use', async () => {
    const endless = 'x'.repeat(10_000)
    expect((await read([endless, endless, '\nshort'])).map((line) => line.length)).toEqual([101, 5])
  })
})
