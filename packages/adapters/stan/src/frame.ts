import { codedAs } from './diagnose.ts'

/** What a payload of NATS Streaming is: framed, with headers; not framed; or begun like a frame and broken. */
export type Unframed =
  | { readonly kind: 'framed'; readonly headers: readonly (readonly [name: string, value: string])[]; readonly content: Buffer }
  | { readonly kind: 'bare' }
  | { readonly kind: 'broken' }

// No text in UTF-8 has a byte FF, no UTF-16 one goes on like this, and no known binary format begins so. What follows is
// the header block of NATS itself, as JetStream carries it.
const mark = Buffer.from('\xffNATS/1.0\r\n', 'latin1')
const blockEnd = Buffer.from('\r\n\r\n')
// An envelope has some 700 bytes, a batched one some 1,200; the rest is for the application's own headers.
const maxBlockBytes = 65_536
const namePattern = /^[\x21-\x39\x3b-\x7e]+$/

/**
 * Puts headers before a content, for a protocol that has none: the byte FF, then `NATS/1.0`, one line `name: value` for
 * each, an empty line (each line ended by CR LF), then the content as it is. Throws `ERR_STAN_MESSAGE` for a name that is
 * no printable ASCII without a colon, a value that is no single line, and headers beyond 64 KiB: nobody would read them
 * as they were written. Reserved names are not refused here.
 */
export function frame(headers: Iterable<readonly [name: string, value: string]>, content: Uint8Array): Buffer {
  let lines = ''
  for (const [name, value] of headers) {
    if (!namePattern.test(name) || /[\r\n]/.test(value)) throw codedAs('ERR_STAN_MESSAGE')
    lines += `${name}: ${value}\r\n`
  }
  const block = Buffer.from(`${lines}\r\n`)
  if (block.length > maxBlockBytes) throw codedAs('ERR_STAN_MESSAGE')
  return Buffer.concat([mark, block, content])
}

/** Takes a payload apart, for consumers and for whoever looks at dead letters. Nothing in it is believed yet. */
export function unframe(payload: Buffer): Unframed {
  if (!payload.subarray(0, mark.length).equals(mark)) return { kind: 'bare' }
  // The line end of the mark is the first half of the end of an empty block.
  const end = payload.subarray(0, mark.length + maxBlockBytes).indexOf(blockEnd, mark.length - 2)
  if (end === -1) return { kind: 'broken' }
  const headers: [string, string][] = []
  for (const line of payload.toString('utf8', mark.length, Math.max(end, mark.length)).split('\r\n')) {
    if (line === '') continue
    const [, name, value] = /^([\x21-\x39\x3b-\x7e]+): ([^\r\n]*)$/.exec(line) ?? []
    if (name === undefined || value === undefined) return { kind: 'broken' }
    headers.push([name, value])
  }
  return { kind: 'framed', headers, content: payload.subarray(end + blockEnd.length) }
}
