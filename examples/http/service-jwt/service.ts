import { generateKeyPairSync } from 'node:crypto'
import { guard, json, scope, serve } from '@portcullis/http'
import { developmentTls } from '@portcullis/http/development'
import { createIssuer, jwt } from '@portcullis/jwt'

/** A service that verifies tokens by the key of their issuer. */
export async function start() {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const issuer = createIssuer({ issuer: 'https://sts.localhost', audience: 'orders', key: { privateKey } })
  const tls = await developmentTls()
  const orders = guard({
    authenticate: jwt({ issuer: 'https://sts.localhost', audience: 'orders', keys: { publicKey } }),
    authorize: scope('orders:read'),
  })
  const server = await serve({ tls, port: 0, guard: orders }, (_request, principal) => json({ hello: principal.subject }))
  return { tls, server, origin: server.origin, issuer, privateKey }
}
