import { createPublicKey, generateKeyPairSync, randomUUID } from 'node:crypto'
import type { Clock } from '@portcullis/core'
import { digest, parsePrivateKey, publicJwk, type InlinePrivateKeySource } from '@portcullis/crypto'
import { createSigner, type Algorithm } from '@portcullis/jwt'
import type { Prover } from './token-request.ts'

/** Makes the proofs of one key (RFC 9449 section 4.2). Without a key, of one that lives as long as the process. */
export function dpopProver(key: InlinePrivateKeySource | undefined, algorithm: Algorithm | undefined, clock: Clock): Prover {
  const privateKey = key === undefined ? generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey : parsePrivateKey(key)
  const publicKey = createPublicKey(privateKey)
  const signer = createSigner({
    key: { privateKey, ...(algorithm !== undefined && { algorithm }) },
    typ: 'dpop+jwt',
    header: { jwk: publicJwk(publicKey) },
  })
  return Object.freeze({
    prove: ({ method, uri, token, nonce }: Parameters<Prover['prove']>[0]) =>
      signer.sign({
        jti: randomUUID(),
        htm: method,
        htu: uri,
        iat: Math.floor(clock.now() / 1000),
        ...(token !== undefined && { ath: tokenHash(token.reveal()) }),
        ...(nonce !== undefined && { nonce }),
      }),
  })
}

/** The `ath` of a token (RFC 9449 section 4.2). */
export function tokenHash(token: string): string {
  return digest('sha256', token, 'base64url')
}
