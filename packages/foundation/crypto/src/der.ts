/**
 * A strict reader for DER (X.690), with as much of BER as PKCS#12 stores of other makers need. It copies nothing:
 * every value is a view of the input. Failures are `DerError`, which the callers turn into an error of their own code.
 */
export interface DerValue {
  /** The identifier octet: class, constructed bit and number. Numbers above 30 do not occur here and are refused. */
  readonly tag: number
  readonly content: Uint8Array
  /** The whole encoding, identifier and length included. */
  readonly bytes: Uint8Array
}

/** Bytes that are no DER, or not of the expected structure. */
export class DerError extends Error {}

export type Rules = 'der' | 'ber'

export const tags = {
  boolean: 0x01,
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  oid: 0x06,
  utf8String: 0x0c,
  numericString: 0x12,
  printableString: 0x13,
  teletexString: 0x14,
  ia5String: 0x16,
  utcTime: 0x17,
  generalizedTime: 0x18,
  visibleString: 0x1a,
  universalString: 0x1c,
  bmpString: 0x1e,
  sequence: 0x30,
  set: 0x31,
} as const

const constructed = 0x20
// Certificates and PKCS#12 stores nest about ten levels; the bound keeps recursion on indefinite lengths small.
const maxDepth = 32

/** Reads the one value that the bytes are, with nothing behind it. */
export function readValue(bytes: Uint8Array, rules: Rules = 'der'): DerValue {
  const value = valueAt(bytes, 0, rules, 0)
  if (value.bytes.length !== bytes.length) throw new DerError('There are bytes behind the value.')
  return value
}

/** Reads the values that a constructed value holds. */
export function readChildren(value: DerValue, rules: Rules = 'der'): DerValue[] {
  if ((value.tag & constructed) === 0) throw new DerError('A value that should hold others is primitive.')
  const children: DerValue[] = []
  for (let at = 0; at < value.content.length;) {
    const child = valueAt(value.content, at, rules, 0)
    children.push(child)
    at += child.bytes.length
  }
  return children
}

/** Checks the tag of a value that may be missing, and returns the value. */
export function expectTag(value: DerValue | undefined, tag: number): DerValue {
  if (value?.tag !== tag) throw new DerError(`Expected a value with tag ${tag}, found ${value?.tag ?? 'none'}.`)
  return value
}

/** The values of a SEQUENCE. */
export function readSequence(value: DerValue | undefined, rules: Rules = 'der'): DerValue[] {
  return readChildren(expectTag(value, tags.sequence), rules)
}

/** The bytes of an OCTET STRING; under BER also of one in pieces. */
export function readOctets(value: DerValue | undefined, rules: Rules = 'der', primitiveTag: number = tags.octetString): Uint8Array {
  if (rules === 'ber' && value?.tag === (primitiveTag | constructed)) {
    return Buffer.concat(readChildren(value, rules).map((piece) => readOctets(piece, rules)))
  }
  return expectTag(value, primitiveTag).content
}

/** A non-negative INTEGER that fits a safe number. */
export function readNumber(value: DerValue | undefined): number {
  const { content } = expectTag(value, tags.integer)
  const first = content[0]
  if (first === undefined || first > 0x7f || content.length > 7) throw new DerError('An integer is negative or too large.')
  if (content.length > 1 && first === 0 && (content[1] ?? 0) < 0x80) throw new DerError('An integer is not in its shortest form.')
  const number = content.reduce((sum, byte) => sum * 256 + byte, 0)
  if (!Number.isSafeInteger(number)) throw new DerError('An integer is too large.')
  return number
}

/** An OBJECT IDENTIFIER in dotted form. */
export function readOid(value: DerValue | undefined): string {
  const { content } = expectTag(value, tags.oid)
  // The longest in use hold a UUID; text for a longer one would only cost time.
  if (content.length === 0 || content.length > 64) throw new DerError('An object identifier is empty or too long.')
  const arcs: bigint[] = []
  let arc = 0n
  let startsArc = true
  for (const byte of content) {
    if (startsArc && byte === 0x80) throw new DerError('An object identifier is not in its shortest form.')
    arc = (arc << 7n) | BigInt(byte & 0x7f)
    startsArc = byte < 0x80
    if (startsArc) {
      arcs.push(arc)
      arc = 0n
    }
  }
  if (!startsArc) throw new DerError('An object identifier ends too early.')
  const [head = 0n, ...rest] = arcs
  const root = head < 40n ? 0n : head < 80n ? 1n : 2n
  return [root, head - root * 40n, ...rest].join('.')
}

function valueAt(bytes: Uint8Array, at: number, rules: Rules, depth: number): DerValue {
  if (depth > maxDepth) throw new DerError('Values nest too deeply.')
  const tag = bytes[at]
  const lengthByte = bytes[at + 1]
  if (tag === undefined || lengthByte === undefined) throw new DerError('A value ends too early.')
  if ((tag & 0x1f) === 0x1f) throw new DerError('Tags of several bytes are not supported.')
  if (lengthByte === 0x80) return indefiniteAt(bytes, at, rules, depth)
  let contentAt = at + 2
  let length = lengthByte
  if (lengthByte > 0x80) {
    const count = lengthByte & 0x7f
    if (count > 4) throw new DerError('A length is too large.')
    length = 0
    for (let i = 0; i < count; i++) length = length * 256 + (bytes[contentAt + i] ?? 0)
    contentAt += count
    if (rules === 'der' && (length < 0x80 || length < 256 ** (count - 1))) throw new DerError('A length is not in its shortest form.')
  }
  const end = contentAt + length
  if (end > bytes.length) throw new DerError('A value ends too early.')
  return { tag, content: bytes.subarray(contentAt, end), bytes: bytes.subarray(at, end) }
}

function indefiniteAt(bytes: Uint8Array, at: number, rules: Rules, depth: number): DerValue {
  const tag = bytes[at] ?? 0
  if (rules === 'der' || (tag & constructed) === 0) throw new DerError('A length is indefinite.')
  let next = at + 2
  while (bytes[next] !== 0 || bytes[next + 1] !== 0) next += valueAt(bytes, next, rules, depth + 1).bytes.length
  return { tag, content: bytes.subarray(at + 2, next), bytes: bytes.subarray(at, next + 2) }
}
