import { createHmac, generateKeyPairSync, sign, type KeyObject } from 'node:crypto'
import { secret, type AccessRequest, type Credential, type PeerChannel } from '@portcullis/core'
import { manualClock, type ManualClock } from '@portcullis/core/testing'

/** The time at which all tests begin, in seconds. */
export const start = Date.UTC(2026, 0, 1) / 1000

export function newClock(): ManualClock {
  return manualClock(start * 1000)
}

export const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 })
export const otherRsa = generateKeyPairSync('rsa', { modulusLength: 2048 })
export const p256 = generateKeyPairSync('ec', { namedCurve: 'P-256' })
export const p384 = generateKeyPairSync('ec', { namedCurve: 'P-384' })
export const p521 = generateKeyPairSync('ec', { namedCurve: 'P-521' })
export const k256 = generateKeyPairSync('ec', { namedCurve: 'secp256k1' })
export const ed25519 = generateKeyPairSync('ed25519')

export const issuer = 'https://issuer.example'
export const audience = 'orders'

/** Claims that a verifier of {@link issuer} and {@link audience} accepts at {@link start}. */
export function goodClaims(more: Readonly<Record<string, unknown>> = {}): Record<string, unknown> {
  return { iss: issuer, sub: 'ada', aud: audience, iat: start, exp: start + 300, ...more }
}

export function b64(value: string | Uint8Array | object): string {
  const bytes = typeof value === 'string' || value instanceof Uint8Array ? Buffer.from(value as string) : Buffer.from(JSON.stringify(value))
  return bytes.toString('base64url')
}

/** Signs whatever is given, sound or not, with node:crypto alone: header and payload may be text, to the byte. */
export function forge(header: string | object, payload: string | Uint8Array | object, key: KeyObject | null): string {
  const text = `${b64(header)}.${b64(payload)}`
  return `${text}.${signRaw(text, key).toString('base64url')}`
}

export function signRaw(text: string, key: KeyObject | null): Buffer {
  if (key === null) return Buffer.alloc(0)
  const data = Buffer.from(text, 'latin1')
  if (key.type === 'secret') return createHmac('sha256', key).update(data).digest()
  const type: string | undefined = key.asymmetricKeyType
  if (type === 'ec') return sign('sha256', data, { key, dsaEncoding: 'ieee-p1363' })
  return sign(type === 'rsa' ? 'sha256' : null, data, key)
}

export function bearer(token: string): Credential<'bearer'> {
  return { kind: 'bearer', carrier: 'authorization', token: secret(token) }
}

export function requestWith(...credentials: readonly Credential[]): AccessRequest {
  return { credentials, action: 'GET', resource: '/orders', attributes: {}, channel }
}

export const channel: PeerChannel = { from: 'peer', protocol: 'https', secure: true }
