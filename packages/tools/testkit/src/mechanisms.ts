import { createHash, createPublicKey, verify, type JsonWebKey } from 'node:crypto'

import { authenticator, credentialOf, notMine, refused, UnavailableError, vouchForPrincipal, type Authenticator } from '@portcullis/core'
import { jwkThumbprint } from '@portcullis/crypto'
import { jwt } from '@portcullis/jwt'

import type { MechanismSetup } from './harness.ts'

/** What judges the usual credential: an access token of the test issuer. */
export function accessTokens({ issuer, keys }: MechanismSetup): Authenticator {
  const { audience, jwks, clock, revocations } = issuer
  return jwt({
    issuer: issuer.issuer,
    audience,
    keys: keys === 'document' ? { jwks } : { jwksUri: keys.unreachable },
    clock,
    revocations,
  })
}

/** The certificate of the channel, whoever holds it: its thumbprint is the subject, its anchor the issuer. */
export function certificates({ issuer }: MechanismSetup): Authenticator {
  return authenticator('certificate', ({ channel: { certificate } }) => {
    if (certificate === undefined) return notMine
    const { anchor, thumbprint, notAfter } = certificate
    return vouchForPrincipal({
      issuer: anchor,
      subject: thumbprint,
      scopes: ['orders:read', 'orders:write'],
      expiresAt: notAfter,
      revocations: [issuer.revocationOf(thumbprint)],
    })
  })
}

/** A mechanism with a fault in it. */
export function faulty(): Authenticator {
  return authenticator(
    'faulty',
    () => {
      throw new TypeError('Cannot read properties of undefined (reading "sub")')
    },
    [{ scheme: 'Bearer' }],
  )
}

/** A mechanism at its limit. */
export function overloaded(): Authenticator {
  return authenticator(
    'overloaded',
    () => {
      throw new UnavailableError('ERR_OVERLOADED', { message: 'The queue is full.', reason: 'overload', retryAfterMs: 1000 })
    },
    [{ scheme: 'Bearer' }],
  )
}

/**
 * Tokens with a proof of possession (RFC 9449), as much of it as shows whether an adapter tells the guard what the
 * proof must cover. Not for use outside the kit: `@portcullis/oauth2` has the whole of it.
 */
export function proofs({ issuer }: MechanismSetup): Authenticator {
  const [key] = issuer.jwks.keys
  const seen = new Set<string>()
  return authenticator(
    'proof',
    ({ credentials, binding }) => {
      const presented = credentialOf(credentials, 'dpop')
      if (presented === undefined) return notMine
      const token = presented.token.reveal()
      const claims = verified(token, key)
      const { header, payload } = partsOf(presented.proof)
      const proof = verified(presented.proof, header['jwk'] as JsonWebKey | undefined)
      if (claims === undefined || proof === undefined) return refused('ERR_CONFIRMATION_UNMET')
      if (binding === undefined || payload['htm'] !== binding.method || payload['htu'] !== binding.uri)
        return refused('ERR_CONFIRMATION_UNMET')
      if (payload['ath'] !== createHash('sha256').update(token).digest('base64url')) return refused('ERR_CONFIRMATION_UNMET')
      const id = String(payload['jti'])
      if (seen.has(id)) return refused('ERR_CONFIRMATION_UNMET')
      seen.add(id)
      const { iss, sub, scope, exp, cnf } = claims as { iss: string; sub: string; scope: string; exp: number; cnf: Record<string, string> }
      const principal = vouchForPrincipal({
        issuer: iss,
        subject: sub,
        scopes: scope.split(' '),
        expiresAt: new Date(exp * 1000),
        confirmation: cnf,
      })
      return { proven: principal, possession: { jkt: jwkThumbprint(header['jwk'] as JsonWebKey) } }
    },
    [{ scheme: 'DPoP', parameters: { algs: 'ES256' } }],
  )
}

function verified(jws: string, jwk: JsonWebKey | undefined): Readonly<Record<string, unknown>> | undefined {
  if (jwk === undefined) return undefined
  const end = jws.lastIndexOf('.')
  const sound = verify(
    'sha256',
    Buffer.from(jws.slice(0, end)),
    { key: createPublicKey({ key: jwk, format: 'jwk' }), dsaEncoding: 'ieee-p1363' },
    Buffer.from(jws.slice(end + 1), 'base64url'),
  )
  return sound ? partsOf(jws).payload : undefined
}

function partsOf(jws: string): Record<'header' | 'payload', Readonly<Record<string, unknown>>> {
  const [header = '', payload = ''] = jws.split('.')
  return { header: decoded(header), payload: decoded(payload) }
}

function decoded(part: string): Readonly<Record<string, unknown>> {
  return JSON.parse(Buffer.from(part, 'base64url').toString()) as Readonly<Record<string, unknown>>
}
