/**
 * The main job in one program: an HTTPS service and its clients, secured by a password, a token, a client certificate,
 * and a token and a certificate together. Every line of the table is an audit event of the service's guards; the program
 * ends with 1 if one of them is not what it should be.
 */
import { generateKeyPairSync } from 'node:crypto'
import { basic, basicCredentials, memoryUserStore } from '@portcullis/auth'
import { hashPassword } from '@portcullis/crypto'
import {
  allOf,
  anyOf,
  client,
  everyone,
  guard,
  json,
  resource,
  scope,
  serve,
  type AuditEvent,
  type CredentialSource,
} from '@portcullis/http'
import { isExhausted } from '@portcullis/core'
import { developmentTls } from '@portcullis/http/development'
import { jwt, selfSignedJwt } from '@portcullis/jwt'
import { clientCertificate } from '@portcullis/tls'
import { printTable, type Row } from './table.ts'
import { show } from '../../show.ts'

const tls = await developmentTls({ clientCertificates: 'accept' })
const issuer = generateKeyPairSync('ec', { namedCurve: 'P-256' })
const stranger = generateKeyPairSync('ec', { namedCurve: 'P-256' })

// Three mechanisms, made once and used on every level of the policy.
const password = basic({
  realm: 'orders',
  store: memoryUserStore({
    name: 'staff',
    users: [{ username: 'tom', password: await hashPassword('correct horse'), scopes: ['orders:read'] }],
  }),
})
const token = jwt({ issuer: 'https://sts.localhost', audience: 'orders', keys: { publicKey: issuer.publicKey } })
const certificate = clientCertificate({
  tls: tls.server,
  issuers: { development: { by: 'commonName', principals: { till: ['orders:read'] } } },
})

const events: AuditEvent[] = []
const orders = guard({
  name: 'orders',
  authenticate: anyOf(token, password, certificate),
  authorize: scope('orders:read'),
  audit: (event) => events.push(event),
})

const server = await serve({
  tls,
  port: 0,
  guard: orders,
  services: [
    {
      path: '/orders',
      guard: orders,
      resources: [
        { method: 'GET', path: '/', handler: (_request, principal) => json({ orders: ['apples'], for: principal.subject }) },
        {
          method: 'POST',
          path: '/',
          authorize: scope('orders:write'),
          handler: (_request, principal) => json({ by: principal.subject }, { status: 201 }),
        },
        // Both factors: the token names the subject, the certificate the till that it came from.
        resource({
          method: 'DELETE',
          path: '/',
          guard: orders.with({ authenticate: allOf(token, certificate), authorize: scope('orders:write') }),
          handler: (_request, principal) => json({ by: principal.subject, at: principal.factors[0]?.subject }),
        }),
      ],
    },
    {
      path: '/health',
      guard: orders.with({ authenticate: everyone() }),
      resources: [{ method: 'GET', path: '/', handler: () => json({ up: true }) }],
    },
  ],
})

/** A caller, its expected answer, and what it shows. */
interface Call {
  readonly shows: string
  readonly method: string
  readonly path: string
  readonly mechanism: string
  readonly status: number
  readonly credentials?: CredentialSource
  readonly certificate?: string
}

const signed = (claims: Partial<Parameters<typeof selfSignedJwt>[0]>): CredentialSource =>
  selfSignedJwt({
    issuer: 'https://sts.localhost',
    subject: 'alice',
    audience: 'orders',
    key: { privateKey: issuer.privateKey },
    claims: { scope: 'orders:read' },
    targets: [server.origin],
    ...claims,
  })
const writer = signed({ claims: { scope: 'orders:read orders:write' } })
const yesterday = { now: () => Date.now() - 86_400_000, schedule: () => ({ cancel: () => undefined }) }
const tom = (secret: string): CredentialSource => basicCredentials({ username: 'tom', password: secret, targets: [server.origin] })

const calls: readonly Call[] = [
  { shows: 'everyone may', method: 'GET', path: '/health', mechanism: 'none', status: 200 },
  { shows: 'a password', method: 'GET', path: '/orders', mechanism: 'Basic', status: 200, credentials: tom('correct horse') },
  { shows: 'a token', method: 'GET', path: '/orders', mechanism: 'JWT', status: 200, credentials: signed({}) },
  { shows: 'a client certificate', method: 'GET', path: '/orders', mechanism: 'mutual TLS', status: 200, certificate: 'till' },
  { shows: 'a token with more scopes', method: 'POST', path: '/orders', mechanism: 'JWT', status: 201, credentials: writer },
  {
    shows: 'token and certificate',
    method: 'DELETE',
    path: '/orders',
    mechanism: 'JWT + mutual TLS',
    status: 200,
    credentials: writer,
    certificate: 'till',
  },
  { shows: 'nothing presented', method: 'GET', path: '/orders', mechanism: 'none', status: 401 },
  { shows: 'a wrong password', method: 'GET', path: '/orders', mechanism: 'Basic', status: 401, credentials: tom('guess') },
  { shows: 'an expired token', method: 'GET', path: '/orders', mechanism: 'JWT', status: 401, credentials: signed({ clock: yesterday }) },
  {
    shows: 'a token for somebody else',
    method: 'GET',
    path: '/orders',
    mechanism: 'JWT',
    status: 401,
    credentials: signed({ audience: 'billing' }),
  },
  {
    shows: 'a token by a strange key',
    method: 'GET',
    path: '/orders',
    mechanism: 'JWT',
    status: 401,
    credentials: signed({ key: { privateKey: stranger.privateKey } }),
  },
  { shows: 'a missing scope', method: 'POST', path: '/orders', mechanism: 'JWT', status: 403, credentials: signed({}) },
  { shows: 'the second factor missing', method: 'DELETE', path: '/orders', mechanism: 'JWT', status: 401, credentials: writer },
  { shows: 'a certificate nobody knows', method: 'GET', path: '/orders', mechanism: 'mutual TLS', status: 401, certificate: 'mallory' },
  {
    shows: 'a path that does not exist',
    method: 'GET',
    path: '/admin',
    mechanism: 'JWT',
    status: 403,
    credentials: signed({ claims: {} }),
  },
]

const rows: Row[] = []
for (const { shows, method, path, mechanism, status, credentials, certificate: name } of calls) {
  using call = await client({ tls: name === undefined ? tls.client : await tls.clientFor(name), ...(credentials && { credentials }) })
  events.length = 0
  // A client whose source has nothing better than what was refused says so instead of handing out the 401.
  const answered = await call(`${server.origin}${path}`, { method }).catch((error: unknown) => {
    if (!isExhausted(error)) throw error
    return undefined
  })
  await new Promise((resolve) => setImmediate(resolve))
  const event = events.find((one) => one.type === 'decision')
  rows.push({
    shows,
    call: `${method} ${path}`,
    mechanism,
    principal: [event?.principal?.subject ?? '-', ...(event?.principal?.factors ?? []).map((factor) => factor.subject)].join(' + '),
    decision: event === undefined ? '-' : event.outcome === 'allow' ? 'allow' : `${event.outcome} (${event.code})`,
    status: answered?.status ?? 401,
    expected: status,
    durationMs: event?.durationMs ?? 0,
  })
}
await server.close()
show('every decision as expected', printTable(rows), true)
