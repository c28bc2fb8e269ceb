import { generateKeyPairSync } from 'node:crypto'
import { basic, basicCredentials, memoryUserStore } from '@portcullis/auth'
import { hashPassword } from '@portcullis/crypto'
import { allOf, anyOf, client, guard, json, resource, serve, withScopes, type CredentialSource } from '@portcullis/http'
import { developmentTls } from '@portcullis/http/development'
import { jwt, selfSignedJwt } from '@portcullis/jwt'
import { clientCertificate } from '@portcullis/tls'
import { show } from '../../show.ts'

const tls = await developmentTls({ clientCertificates: 'accept' })
const { privateKey, publicKey } = generateKeyPairSync('ed25519')
const token = jwt({ issuer: 'urn:sts', audience: 'orders', keys: { publicKey } })
const password = basic({
  realm: 'orders',
  store: memoryUserStore({ name: 'staff', users: [{ username: 'tom', password: await hashPassword('word'), scopes: ['hello'] }] }),
})
const certificate = clientCertificate({ tls: tls.server, issuers: { development: { by: 'commonName', principals: { till: [] } } } })

// A token with the scope "orders", or a password of somebody with the scope "hello".
const either = guard({ authenticate: anyOf(withScopes(token, ['orders']), withScopes(password, ['hello'])) })
// A token and a certificate: the token names the subject, the certificate is a factor.
const both = either.with({ authenticate: allOf(token, certificate) })
await using server = await serve({
  tls,
  port: 0,
  guard: either,
  services: [
    {
      path: '/',
      guard: either,
      resources: [
        { method: 'GET', path: '/either', handler: (_request, principal) => json({ hello: principal.subject }) },
        resource({
          method: 'GET',
          path: '/both',
          guard: both,
          handler: (_request, principal) => json({ hello: principal.subject, at: principal.factors[0]?.subject }),
        }),
      ],
    },
  ],
})
const signed = (scope: string): CredentialSource =>
  selfSignedJwt({
    issuer: 'urn:sts',
    subject: 'alice',
    audience: 'orders',
    claims: { scope },
    key: { privateKey },
    targets: [server.origin],
  })
const status = async (path: string, credentials?: CredentialSource, till = false): Promise<number> => {
  using call = await client({ tls: till ? await tls.clientFor('till') : tls.client, ...(credentials && { credentials }) })
  return (await call(`${server.origin}${path}`)).status
}
show('either: a token with the scope', await status('/either', signed('orders')), 200)
show('either: a token without it', await status('/either', signed('other')), 403)
show('either: a password', await status('/either', basicCredentials({ username: 'tom', password: 'word', targets: [server.origin] })), 200)
show('either: nothing', await status('/either'), 401)
show('both: a token alone', await status('/both', signed('orders')), 401)
show('both: a certificate alone', await status('/both', undefined, true), 401)
show('both: token and certificate', await status('/both', signed('orders'), true), 200)
