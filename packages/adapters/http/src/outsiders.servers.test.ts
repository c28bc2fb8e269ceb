import { generateKeyPairSync } from 'node:crypto'
import { allOf, anyOf, guard, scope, type Guard } from '@portcullis/core'
import { createIssuer, jwt } from '@portcullis/jwt'
import { clientCertificate, tlsBundle, type ServerTlsBundle } from '@portcullis/tls'
import { createPki, runForeign, type Pki, type Ran } from '@portcullis/test-servers'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { json, resource, serve, service, type Listener } from './index.ts'
import { passwords } from './service.test-support.ts'

/** What others' programs see of the listener: curl over both versions, and OpenSSL's own client. */
let pki: Pki
let foreign: Pki
let tls: ServerTlsBundle
let listener: Listener
let tokens: { readonly good: string; readonly bare: string; readonly expired: string }

beforeAll(async () => {
  pki = createPki()
  foreign = createPki({ name: 'foreign' })
  const keyPair = { key: { pem: pki.server.key }, certificates: { pem: pki.server.certificate } }
  tls = await tlsBundle({ side: 'server', identity: keyPair, clientCertificates: { accept: { people: { pem: pki.ca.certificate } } } })
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const issuer = createIssuer({ issuer: 'https://sts.localhost', audience: 'orders', key: { privateKey, algorithm: 'ES256' } })
  const jwts = jwt({ issuer: 'https://sts.localhost', audience: 'orders', keys: { publicKey, algorithms: ['ES256'] } })
  const past = { now: () => Date.now() - 3_600_000, schedule: () => ({ cancel: () => undefined }) }
  const before = createIssuer({
    issuer: 'https://sts.localhost',
    audience: 'orders',
    key: { privateKey, algorithm: 'ES256' },
    clock: past,
    expiresInSeconds: 60,
  })
  tokens = {
    good: await issuer.issue({ subject: 'alice', claims: { scope: 'orders:read' } }),
    bare: await issuer.issue({ subject: 'alice' }),
    expired: await before.issue({ subject: 'alice', claims: { scope: 'orders:read' } }),
  }
  const root: Guard = guard({ authenticate: anyOf(jwts, passwords), authorize: scope('orders:read') })
  const certificate = clientCertificate({ tls, issuers: { people: { by: 'email', everyone: { scopes: [] } } } })
  listener = await serve({
    tls,
    guard: root,
    port: 0,
    services: [
      service({
        path: '/',
        guard: root,
        resources: [
          { method: 'GET', path: '/orders', handler: (_request, principal) => json({ subject: principal.subject }) },
          { method: 'POST', path: '/orders', handler: async (request) => json({ got: await request.text() }) },
          resource({
            method: 'GET',
            path: '/certificate',
            guard: guard({ authenticate: certificate }),
            handler: (_request, principal) => json({ subject: principal.subject, issuer: principal.issuer }),
          }),
          resource({
            method: 'GET',
            path: '/both',
            guard: guard({ authenticate: allOf(jwts, certificate) }),
            handler: (_request, principal) => json({ subject: principal.subject, with: principal.factors[0]?.subject }),
          }),
        ],
      }),
    ],
  })
})
afterAll(async () => {
  await listener.close({ graceMs: 0 })
  tls.close()
})

const curl = (path: string, ...args: string[]): Promise<Ran> =>
  runForeign('curl', 'curl', [
    '-sS',
    '--max-time',
    '10',
    '--cacert',
    pki.ca.certificateFile,
    '-w',
    '\n%{http_version} %{http_code}',
    ...args,
    `https://localhost:${listener.port}${path}`,
  ])
const bearer = (token: string): string[] => ['-H', `Authorization: Bearer ${token}`]

describe.each([
  ['--http1.1', '1.1'],
  ['--http2', '2'],
] as const)('curl %s', (flag, version) => {
  it('is answered with a bearer token', async () => {
    expect((await curl('/orders', flag, ...bearer(tokens.good))).output).toBe(`{"subject":"alice"}\n${version} 200`)
  })

  it('is answered with a password', async () => {
    expect((await curl('/orders', flag, '-u', 'carol:secret')).output).toBe(`{"subject":"carol"}\n${version} 200`)
  })

  it('brings its content', async () => {
    expect((await curl('/orders', flag, ...bearer(tokens.good), '-d', 'x'.repeat(5000))).output).toContain(`"${'x'.repeat(5000)}"`)
  })

  it('asks for a HEAD', async () => {
    expect((await curl('/orders', flag, '-I', ...bearer(tokens.good))).output).toContain(`${version} 200`)
  })

  it.each([
    ['nothing', [], 401, /www-authenticate: Bearer\r?\n[^]*www-authenticate: Basic realm="tests"/i],
    ['an expired token', ['expired'], 401, /www-authenticate: Bearer error="invalid_token"/i],
    ['a token without the scope', ['bare'], 403, /insufficient_scope/],
  ] as const)('is refused with %s', async (_, [which], status, challenge) => {
    const { output } = await curl('/orders', flag, '-i', ...(which === undefined ? [] : bearer(tokens[which])))
    expect(output).toMatch(new RegExp(`${version.replace('.', '\\.')} ${status}$`))
    expect(output).toMatch(challenge)
    expect(output).toContain('application/problem+json')
  })

  it('is refused with a wrong password', async () => {
    expect((await curl('/orders', flag, '-u', 'carol:wrong')).output).toMatch(/ 401$/)
  })

  it('proves itself by its certificate, alone and beside a token', async () => {
    const { certificateFile, keyFile } = pki.issue({ name: 'dave', email: ['dave@localhost'] })
    const own = ['--cert', certificateFile, '--key', keyFile]
    expect((await curl('/certificate', flag, ...own)).output).toBe(`{"subject":"dave@localhost","issuer":"people"}\n${version} 200`)
    expect((await curl('/both', flag, ...own, ...bearer(tokens.good))).output).toBe(
      `{"subject":"alice","with":"dave@localhost"}\n${version} 200`,
    )
    expect((await curl('/both', flag, ...bearer(tokens.good))).output).toMatch(/ 401$/)
    expect((await curl('/certificate', flag)).output).toMatch(/ 403$/)
  })

  it('gets no answer with a certificate of others, even where none is needed', async () => {
    const { certificateFile, keyFile } = foreign.issue({ name: 'mallory', email: ['dave@localhost'] })
    const { output, status } = await curl('/orders', flag, '--cert', certificateFile, '--key', keyFile, ...bearer(tokens.good))
    expect(output).not.toContain('200')
    expect(status).not.toBe(0)
  })

  it('trusts the listener for its own authority only', async () => {
    const { status } = await runForeign('curl', 'curl', [
      '-sS',
      flag,
      '--cacert',
      foreign.ca.certificateFile,
      `https://localhost:${listener.port}/orders`,
    ])
    expect(status).toBe(60)
  })
})

describe('openssl s_client', () => {
  const client = (...args: string[]): Promise<Ran> =>
    runForeign(
      'openssl',
      'openssl',
      [
        's_client',
        '-connect',
        `localhost:${listener.port}`,
        '-servername',
        'localhost',
        '-CAfile',
        pki.ca.certificateFile,
        '-verify_return_error',
        ...args,
      ],
      { input: 'Q\n' },
    )

  it('verifies the listener, and is offered h2 first', async () => {
    const { said } = await client('-alpn', 'http/1.1,h2', '-tls1_3')
    expect(said).toContain('Verify return code: 0 (ok)')
    expect(said).toContain('ALPN protocol: h2')
    expect(said).toContain('TLSv1.3')
  })

  it('is refused below TLS 1.2, and with a protocol that is not spoken', async () => {
    expect((await client('-tls1_2')).said).toContain('Verify return code: 0 (ok)')
    expect((await client('-tls1_1', '-cipher', 'DEFAULT@SECLEVEL=0')).status).not.toBe(0)
    expect((await client('-alpn', 'spdy/3')).said).toMatch(/no application protocol|alert number 120/)
  })

  it('cannot renegotiate', async () => {
    const { said } = await runForeign(
      'openssl',
      'openssl',
      ['s_client', '-connect', `localhost:${listener.port}`, '-tls1_2', '-CAfile', pki.ca.certificateFile],
      { input: 'R\n' },
    )
    expect(said).toMatch(/no renegotiation|handshake failure|ssl handshake/i)
  })
})
