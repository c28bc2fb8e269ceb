import { generateKeyPairSync } from 'node:crypto'
import { guard, scope } from '@portcullis/core'
import { createIssuer, jwt } from '@portcullis/jwt'

/** A guard for holders of a token, which it verifies by the key of the issuer; and that issuer. */
export function signedTokens() {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const issuer = createIssuer({ issuer: 'https://sts.localhost', audience: 'orders', key: { privateKey } })
  const orders = guard({
    authenticate: jwt({ issuer: 'https://sts.localhost', audience: 'orders', keys: { publicKey } }),
    authorize: scope('orders:read'),
  })
  return { orders, issuer, privateKey }
}
