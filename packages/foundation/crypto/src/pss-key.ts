import { constants, createPrivateKey, createPublicKey, type KeyObject, type SignPrivateKeyInput } from 'node:crypto'
import { readChildren, readSequence, readValue } from './der.ts'

/**
 * The same RSA key, bound to PSS with one hash and a salt of the hash's length (RFC 4055 section 3.1). The runtime
 * uses such a key without options, which saves a third of the time of a verification; and it cannot be used otherwise.
 */
export function bindToPss(key: KeyObject, hash: string): KeyObject {
  const { oid, size } = pssHashes[hash as keyof typeof pssHashes]
  const hashAlgorithm = sequence(Buffer.from(oid, 'hex'), Buffer.from('0500', 'hex'))
  const mgf1 = sequence(Buffer.from('06092a864886f70d010108', 'hex'), hashAlgorithm)
  const salt = Buffer.from([0x02, 0x01, size])
  const algorithm = sequence(
    Buffer.from('06092a864886f70d01010a', 'hex'),
    sequence(encode(0xa0, hashAlgorithm), encode(0xa1, mgf1), encode(0xa2, salt)),
  )
  if (key.type === 'public') {
    const [, bits] = readSequence(readValue(key.export({ format: 'der', type: 'spki' })))
    return createPublicKey({ key: sequence(algorithm, bits?.bytes ?? new Uint8Array()), format: 'der', type: 'spki' })
  }
  const [version, , octets] = readChildren(readValue(key.export({ format: 'der', type: 'pkcs8' })))
  const pkcs8 = sequence(version?.bytes ?? new Uint8Array(), algorithm, octets?.bytes ?? new Uint8Array())
  return createPrivateKey({ key: pkcs8, format: 'der', type: 'pkcs8' })
}

/** The options form, for keys that are of type RSA-PSS already. */
export function pssOptions(key: KeyObject, saltLength: number): SignPrivateKeyInput & { key: KeyObject } {
  return { key, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength } as SignPrivateKeyInput & { key: KeyObject }
}

// The DER of the hashes' object identifiers, 2.16.840.1.101.3.4.2.1 to .3.
const pssHashes = {
  sha256: { oid: '0609608648016503040201', size: 32 },
  sha384: { oid: '0609608648016503040202', size: 48 },
  sha512: { oid: '0609608648016503040203', size: 64 },
}

function sequence(...parts: readonly Uint8Array[]): Buffer {
  return encode(0x30, Buffer.concat(parts))
}

function encode(tag: number, content: Uint8Array): Buffer {
  const bytes: number[] = []
  for (let rest = content.length; rest > 0; rest = Math.floor(rest / 256)) bytes.unshift(rest % 256)
  const length = content.length < 0x80 ? [content.length] : [0x80 | bytes.length, ...bytes]
  return Buffer.concat([Buffer.from([tag, ...length]), content])
}
