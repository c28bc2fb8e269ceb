import { DerError, tags, type DerValue } from './der.ts'

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
const utf16 = new TextDecoder('utf-16be', { fatal: true, ignoreBOM: true })

// X.680 section 41. A teletex string is read as Latin-1, which is what its writers mean.
const decoders: ReadonlyMap<number, (bytes: Uint8Array) => string> = new Map([
  [tags.utf8String, (bytes) => utf8.decode(bytes)],
  [tags.printableString, decodeAscii],
  [tags.numericString, decodeAscii],
  [tags.ia5String, decodeAscii],
  [tags.visibleString, decodeAscii],
  [tags.teletexString, (bytes) => Buffer.from(bytes).toString('latin1')],
  [tags.bmpString, (bytes) => utf16.decode(bytes)],
  [tags.universalString, decodeUtf32],
])

/** Decodes a string value exactly; `undefined` if it is of no string type. Throws `DerError` if its bytes break its type. */
export function decodeText(value: DerValue): string | undefined {
  const decoder = decoders.get(value.tag)
  if (decoder === undefined) return undefined
  try {
    return decoder(value.content)
  } catch {
    throw new DerError('A text holds bytes that its type does not allow.')
  }
}

/** Decodes bytes of US-ASCII. */
export function decodeAscii(bytes: Uint8Array): string {
  if (bytes.some((byte) => byte > 0x7f)) throw new DerError('A text holds bytes that its type does not allow.')
  return Buffer.from(bytes).toString('latin1')
}

function decodeUtf32(bytes: Uint8Array): string {
  if (bytes.length % 4 !== 0) throw new DerError('A text ends too early.')
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  const text = Array.from({ length: bytes.length / 4 }, (_, i) => String.fromCodePoint(view.getUint32(i * 4))).join('')
  if (!text.isWellFormed()) throw new DerError('A text holds bytes that its type does not allow.')
  return text
}
