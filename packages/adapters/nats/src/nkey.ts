import { createPrivateKey, createPublicKey, sign } from 'node:crypto'
import { ConfigurationError } from '@portcullis/core'
import type { NatsErrorCode } from './errors.ts'

/** The answer to a server's challenge. */
export interface NkeyProof {
  /** The public key, in the form of NATS: `U…`. */
  readonly nkey: string
  /** Over the server's nonce, base64url. */
  readonly sig: string
}

/**
 * Signs a server's nonce with the seed of a user's NKey: Ed25519, with the runtime's own cryptography. Throws
 * `ERR_NATS_CREDENTIAL` for what is no such seed; the message holds nothing of it.
 */
export function proveNkey(seed: string, nonce: string): NkeyProof {
  const privateKey = createPrivateKey({ key: Buffer.concat([pkcs8Head, secretOf(seed)]), format: 'der', type: 'pkcs8' })
  const { x = '' } = createPublicKey(privateKey).export({ format: 'jwk' })
  const raw = Buffer.concat([Buffer.of(userPrefix), Buffer.from(x, 'base64url')])
  return { nkey: toBase32(withChecksum(raw)), sig: sign(null, Buffer.from(nonce), privateKey).toString('base64url') }
}

// RFC 8410 section 7: all that stands before the 32 bytes of an Ed25519 key.
const pkcs8Head = Buffer.from('302e020100300506032b657004220420', 'hex')
// The letters S and U of the encoded forms, shifted into the upper five bits.
const seedPrefix = 18 << 3
const userPrefix = 20 << 3

function secretOf(seed: string): Buffer {
  const bytes = fromBase32(seed.trim())
  // Two bytes of prefix, of which the second's kind reaches over both; 32 of secret; two of checksum.
  const sound = bytes?.length === 36 && bytes.readUInt16LE(34) === checksum(bytes.subarray(0, 34))
  const [first = 0, second = 0] = bytes ?? []
  if (bytes === undefined || !sound || (first & 0xf8) !== seedPrefix || (((first & 7) << 5) | (second >> 3)) !== userPrefix)
    throw new ConfigurationError<NatsErrorCode>('ERR_NATS_CREDENTIAL', 'This is no seed of a user’s NKey (SU…), or its checksum is wrong.')
  return bytes.subarray(2, 34)
}

function withChecksum(bytes: Buffer): Buffer {
  const tail = Buffer.alloc(2)
  tail.writeUInt16LE(checksum(bytes))
  return Buffer.concat([bytes, tail])
}

/** CRC-16/XMODEM. */
function checksum(bytes: Uint8Array): number {
  let crc = 0
  for (const byte of bytes) {
    crc ^= byte << 8
    for (let bit = 0; bit < 8; bit++) crc = (crc & 0x8000 ? (crc << 1) ^ 0x1021 : crc << 1) & 0xffff
  }
  return crc
}

const letters = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'

/** RFC 4648 section 6, without padding. */
function toBase32(bytes: Uint8Array): string {
  let text = ''
  let bits = 0
  let value = 0
  for (const byte of bytes) {
    value = ((value << 8) | byte) & 0xffff
    for (bits += 8; bits >= 5; bits -= 5) text += letters[(value >> (bits - 5)) & 31] ?? ''
  }
  return bits > 0 ? text + (letters[(value << (5 - bits)) & 31] ?? '') : text
}

function fromBase32(text: string): Buffer | undefined {
  const bytes: number[] = []
  let bits = 0
  let value = 0
  for (const letter of text) {
    const at = letters.indexOf(letter)
    if (at < 0) return undefined
    value = ((value << 5) | at) & 0xffff
    bits += 5
    if (bits >= 8) bytes.push((value >> (bits -= 8)) & 255)
  }
  // One seed has one text: nothing may hide in the bits that are left over.
  return bits < 5 && (value & ((1 << bits) - 1)) === 0 ? Buffer.from(bytes) : undefined
}
