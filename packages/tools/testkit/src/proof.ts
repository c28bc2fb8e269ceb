import { createHash, generateKeyPairSync, randomUUID, sign } from 'node:crypto'

import type { RequestBinding } from '@portcullis/core'
import { jwkThumbprint } from '@portcullis/crypto'

/** A key with which a peer proves possession (RFC 9449). */
export interface ProofKey {
  /** The thumbprint to bind tokens to: `{ confirmation: { jkt } }`. */
  readonly jkt: string
  /** Makes a proof for one call with one token. `id` is its `jti`; two proofs with one id are a replay. */
  prove(call: {
    readonly token: string
    readonly binding: Pick<RequestBinding, 'method' | 'uri'>
    readonly nowMs: number
    readonly id?: string
  }): string
}

/** Makes a key for proofs; for tests. */
export function proofKey(): ProofKey {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const jwk = publicKey.export({ format: 'jwk' })
  return {
    jkt: jwkThumbprint(jwk),
    prove({ token, binding, nowMs, id = randomUUID() }) {
      const header = { typ: 'dpop+jwt', alg: 'ES256', jwk }
      const payload = {
        jti: id,
        htm: binding.method,
        htu: binding.uri,
        iat: Math.floor(nowMs / 1000),
        ath: createHash('sha256').update(token).digest('base64url'),
      }
      const signed = [header, payload].map((part) => Buffer.from(JSON.stringify(part)).toString('base64url')).join('.')
      return `${signed}.${sign('sha256', Buffer.from(signed), { key: privateKey, dsaEncoding: 'ieee-p1363' }).toString('base64url')}`
    },
  }
}
