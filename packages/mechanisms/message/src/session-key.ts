import { createPublicKey, diffieHellman, type KeyObject } from 'node:crypto'
import { ConfigurationError } from '@portcullis/core'
import { digest, hkdf } from '@portcullis/crypto'
import { Mac } from './mac.ts'

/** Refuses anything but an X25519 key of this half. */
export function requireX25519(where: string, key: KeyObject, type: 'public' | 'private'): KeyObject {
  if (key?.asymmetricKeyType !== 'x25519' || key.type !== type)
    throw new ConfigurationError('ERR_OPTION_INVALID', `${where} must be a ${type} X25519 key.`)
  return key
}

/** The name of a group's key in handshakes: SHA-256 of its public half (SubjectPublicKeyInfo), base64url. */
export function groupKeyId(publicKey: KeyObject): string {
  return digest('sha256', publicBytes(publicKey), 'base64url')
}

/** The public half as it stands in a handshake. */
export function publicText(publicKey: KeyObject): string {
  return publicBytes(publicKey).toString('base64url')
}

/** Reads a public half out of a handshake; `undefined` if it is none. */
export function publicFrom(text: string): KeyObject | undefined {
  try {
    const key = createPublicKey({ key: Buffer.from(text, 'base64url'), format: 'der', type: 'spki' })
    return key.asymmetricKeyType === 'x25519' ? key : undefined
  } catch {
    return undefined
  }
}

/** What both sides derive their key from, beside their own private half. */
export interface SessionContext {
  readonly ephemeral: KeyObject
  readonly group: KeyObject
  readonly issuer: string
  readonly subject: string
  readonly epoch: string
}

/** The MAC key of one epoch between one producer and one group (RFC 7748 section 6.1, RFC 5869). Throws for a public half of low order. */
export function sessionKey(own: KeyObject, other: KeyObject, { ephemeral, group, issuer, subject, epoch }: SessionContext): Mac {
  const secret = diffieHellman({ privateKey: own, publicKey: other })
  const salt = Buffer.concat([publicBytes(ephemeral), publicBytes(group)])
  const info = ['portcullis-session', issuer, subject, epoch].map((part) => `${part.length}:${part}`).join('')
  return new Mac(hkdf('sha256', { secret, length: 32, salt, info: digest('sha256', info) }).toString('base64url'))
}

function publicBytes(key: KeyObject): Buffer {
  return key.export({ format: 'der', type: 'spki' })
}
