import { createServer, type Server } from 'node:https'
import { createServer as createPlainServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { ambientCaller, authenticator, everyone, guard, notMine, scope, vouchForPrincipal, type AuditEvent } from '@portcullis/core'
import { attach, secureServerOptions } from '@portcullis/tls'
import { developmentTls, type DevelopmentTls } from '@portcullis/tls/development'
import express, { Router, type Express } from 'express'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { principalOf, protect } from './express.ts'
import { ask, tokens } from './service.test-support.ts'
import { tlsTerminatedBy } from './proxy.ts'

let tls: DevelopmentTls
let events: AuditEvent[] = []
const servers: Server[] = []
const orders = guard({ authenticate: tokens, authorize: scope('orders:read'), audit: (event) => events.push(event) })

beforeAll(async () => {
  tls = await developmentTls({ clientCertificates: 'accept' })
})
beforeEach(() => {
  events = []
})
afterEach(() => servers.splice(0).forEach((server) => server.close().closeAllConnections()))
afterAll(() => tls.close())

async function start(app: Express): Promise<number> {
  const server = createServer(secureServerOptions(tls), app)
  attach(server, tls)
  servers.push(server)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return (server.address() as AddressInfo).port
}

const as = (token: string): Record<string, string> => ({ authorization: `Bearer ${token}` })

describe('protect, in Express', () => {
  it('lets through what the guard allows and tells the handler who it is', async () => {
    const app = express()
    app.get('/orders/:id', protect(orders), (request, response) => {
      response.json({ subject: principalOf(orders, request).subject, ambient: ambientCaller().subject })
    })
    const port = await start(app)
    expect(JSON.parse((await ask(port, tls.client, { path: '/orders/7', headers: as('alice') })).text)).toEqual({
      subject: 'alice',
      ambient: 'alice',
    })
    expect(events).toMatchObject([{ action: 'GET', resource: '/orders/:id', outcome: 'allow' }])
  })

  it.each([
    [{}, 401, 'Bearer realm="tests"'],
    [as('expired'), 401, 'Bearer realm="tests", error="invalid_token"'],
    [as('bob'), 403, 'Bearer realm="tests", error="insufficient_scope", scope="orders:read"'],
    [as('a b'), 400, 'Bearer realm="tests", error="invalid_request"'],
    [as('down'), 503, undefined],
    [as('broken'), 500, undefined],
  ] as const)('answers %o with %i', async (headers, status, challenge) => {
    let handled = false
    const app = express()
    app.use(protect(orders))
    app.get('/', (_request, response) => {
      handled = true
      response.end()
    })
    const answer = await ask(await start(app), tls.client, { headers })
    expect(answer.status).toBe(status)
    expect(answer.headers['www-authenticate']).toBe(challenge)
    expect(answer.headers['content-type']).toBe('application/problem+json')
    expect(handled).toBe(false)
  })

  it('judges the place where it was put: a router as a whole', async () => {
    const app = express()
    const api = Router()
    api.use(protect(orders))
    api.get('/things', (_request, response) => void response.end())
    app.use('/api', api)
    const port = await start(app)
    await ask(port, tls.client, { path: '/api/things', headers: as('alice') })
    expect(events).toMatchObject([{ resource: '/api/*' }])
  })

  it('judges a HEAD as the GET whose handler runs', async () => {
    const app = express()
    app.get('/', protect(orders), (_request, response) => void response.end('x'))
    expect((await ask(await start(app), tls.client, { method: 'HEAD', headers: as('alice') })).status).toBe(200)
    expect(events).toMatchObject([{ action: 'GET' }])
  })

  it.each([
    ['an encoded slash', '/a%2fb', {}],
    ['an encoded dot segment', '/a/%2e%2e/b', {}],
    ['two slashes', '//a', {}],
    ['NUL', '/a%00', {}],
    ['a method override in a field', '/a', { 'x-http-method-override': 'DELETE' }],
    ['a method override in the query', '/a?_method=DELETE', {}],
  ])('refuses %s before anything is judged', async (_, path, headers) => {
    const app = express()
    app.use(protect(orders))
    expect((await ask(await start(app), tls.client, { path, headers: { ...as('alice'), ...headers } })).status).toBe(400)
    expect(events).toMatchObject([{ type: 'messageRefused' }])
  })

  it('throws where no guard has run, and answers nobody as nobody', async () => {
    const app = express()
    app.get('/', (request, response) => void response.json(principalOf(orders, request)))
    const answer = await ask(await start(app), tls.client, { headers: as('alice') })
    expect(answer.status).toBe(500)
    expect(answer.text).toContain('has not allowed this request')
  })

  it('knows the principal by the guard that allowed it only', async () => {
    const other = guard({ authenticate: tokens })
    const app = express()
    app.get('/', protect(orders), (request, response) => void response.json(principalOf(other, request)))
    expect((await ask(await start(app), tls.client, { headers: as('alice') })).status).toBe(500)
  })

  it('refuses a server without TLS, but for a named proxy in front', async () => {
    const app = express()
    app.get('/direct', protect(orders), (_request, response) => void response.end('reached'))
    app.get(
      '/proxied',
      protect(orders, { tls: tlsTerminatedBy({ proxies: ['127.0.0.1'], header: 'x-forwarded' }) }),
      (request, response) => void response.json(Object.keys(request.headers)),
    )
    app.get(
      '/foreign',
      protect(orders, { tls: tlsTerminatedBy({ proxies: ['10.0.0.0/8'], header: 'x-forwarded' }) }),
      (request, response) => void response.json(request.headers),
    )
    const server = createPlainServer(app)
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const at = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
    const headers = { ...as('alice'), 'x-forwarded-proto': 'https', 'x-forwarded-for': '192.0.2.1' }
    expect((await fetch(`${at}/direct`, { headers })).status).toBe(403)
    const forged = { 'x-real-ip': '6.6.6.6', forwarded: 'for=6.6.6.6;proto=https' }
    const proxied = await fetch(`${at}/proxied`, { headers: { ...headers, ...forged } })
    expect(proxied.status).toBe(200)
    const names = (await proxied.json()) as string[]
    expect(names).toContain('x-forwarded-for')
    expect(names.filter((name) => Object.hasOwn(forged, name))).toEqual([])
    expect((await fetch(`${at}/proxied`, { headers: as('alice') })).status).toBe(403)
    expect((await fetch(`${at}/foreign`, { headers })).status).toBe(403)
    server.close().closeAllConnections()
    expect(events.filter((event) => event.type === 'decision')).toMatchObject([{ remoteAddress: '192.0.2.1', secure: true }])
  })

  it('brings the client certificate to the guard if it knows the bundle', async () => {
    const certificates = authenticator('certificates', ({ channel }) =>
      channel.certificate === undefined ? notMine : vouchForPrincipal({ issuer: 'ca', subject: channel.certificate.thumbprint }),
    )
    const byCertificate = guard({ authenticate: certificates })
    const app = express()
    app.get('/', protect(byCertificate, { tls }), (request, response) => void response.end(principalOf(byCertificate, request).subject))
    const port = await start(app)
    expect((await ask(port, await tls.clientFor('alice'))).text).toMatch(/^[\w-]{43}$/)
    // A certificate has no scheme to challenge with, so it is 403 and not 401.
    expect((await ask(port, tls.client)).status).toBe(403)
  })

  it('is refused at construction without a guard or with options that do not exist', () => {
    expect(() => protect(undefined as never)).toThrow(expect.objectContaining({ code: 'ERR_GUARD_MISSING' }))
    expect(() => protect(orders, { TLS: true } as never)).toThrow(expect.objectContaining({ code: 'ERR_OPTION_UNKNOWN' }))
    expect(() => protect(orders, { tls: undefined } as never)).toThrow(expect.objectContaining({ code: 'ERR_OPTION_INVALID' }))
    expect(() => protect(guard({ authenticate: everyone() }))).not.toThrow()
  })
})
