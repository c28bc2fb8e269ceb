import { UrlError } from './errors.ts'

/** The charsets that every Java runtime has too, in lower or upper case. */
export type Charset = LowercaseCharset | Uppercase<LowercaseCharset>

type LowercaseCharset = 'utf-8' | 'utf-16' | 'utf-16be' | 'utf-16le' | 'iso-8859-1' | 'us-ascii'

/** How a charset turns text into bytes and back; both throw where they cannot. */
interface Codec {
  readonly encode: (text: string) => Uint8Array
  readonly decode: (bytes: Uint8Array) => string
}

const byteOrderMark = Buffer.from([0xfe, 0xff])

// RFC 2781 section 4: `utf-16` writes its byte order, and without a mark it is big-endian.
const codecs: ReadonlyMap<string, Codec> = new Map<LowercaseCharset, Codec>([
  ['utf-8', { encode: (text) => Buffer.from(text, 'utf8'), decode: strict('utf-8') }],
  ['utf-16be', { encode: utf16be, decode: strict('utf-16be') }],
  ['utf-16le', { encode: (text) => Buffer.from(text, 'utf16le'), decode: strict('utf-16le') }],
  ['utf-16', { encode: (text) => Buffer.concat([byteOrderMark, utf16be(text)]), decode: decodeUtf16 }],
  ['iso-8859-1', singleByte(0xff)],
  ['us-ascii', singleByte(0x7f)],
])

/** Finds a charset by its name, in any case. Throws `ERR_URL_CHARSET_UNKNOWN`. */
export function codecOf(charset: Charset): Codec {
  const codec = typeof charset === 'string' ? codecs.get(charset.toLowerCase()) : undefined
  if (codec === undefined) throw new UrlError('ERR_URL_CHARSET_UNKNOWN')
  return codec
}

function strict(label: string): (bytes: Uint8Array) => string {
  const decoder = new TextDecoder(label, { fatal: true, ignoreBOM: true })
  return (bytes) => decoder.decode(bytes)
}

function utf16be(text: string): Buffer {
  return Buffer.from(text, 'utf16le').swap16()
}

function decodeUtf16(bytes: Uint8Array): string {
  const [first, second] = bytes
  if (first === 0xff && second === 0xfe) return strict('utf-16le')(bytes.subarray(2))
  return strict('utf-16be')(first === 0xfe && second === 0xff ? bytes.subarray(2) : bytes)
}

/** The charsets whose bytes are the first characters of Unicode. `TextDecoder` would read windows-1252 instead. */
function singleByte(last: number): Codec {
  return {
    encode: (text) =>
      Uint8Array.from(
        within(
          Uint16Array.from(text, (character) => character.charCodeAt(0)),
          last,
        ),
      ),
    decode: (bytes) => Buffer.from(within(bytes, last)).toString('latin1'),
  }
}

function within<Values extends Uint8Array | Uint16Array>(values: Values, last: number): Values {
  if (values.some((value) => value > last)) throw new RangeError('No character of this charset.')
  return values
}
