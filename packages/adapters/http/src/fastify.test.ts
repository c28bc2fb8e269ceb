import type { AddressInfo } from 'node:net'
import { ambientCaller, guard, scope, type AuditEvent } from '@portcullis/core'
import { attach, secureServerOptions } from '@portcullis/tls'
import { developmentTls, type DevelopmentTls } from '@portcullis/tls/development'
import Fastify, { type FastifyInstance } from 'fastify'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { principalOf, protect } from './fastify.ts'
import { ask, passwords, tokens } from './service.test-support.ts'
import { allOf } from './index.ts'

let tls: DevelopmentTls
let events: AuditEvent[] = []
const apps: FastifyInstance[] = []
const orders = guard({ authenticate: tokens, authorize: scope('orders:read'), audit: (event) => events.push(event) })

beforeAll(async () => {
  tls = await developmentTls()
})
beforeEach(() => {
  events = []
})
afterEach(() => Promise.all(apps.splice(0).map((app) => app.close())))
afterAll(() => tls.close())

function application(): FastifyInstance {
  const app = Fastify({ https: secureServerOptions(tls), forceCloseConnections: true }) as unknown as FastifyInstance
  attach(app.server as never, tls)
  apps.push(app)
  return app
}

async function portOf(app: FastifyInstance): Promise<number> {
  await app.listen({ port: 0, host: '127.0.0.1' })
  return (app.server.address() as AddressInfo).port
}

const as = (token: string): Record<string, string> => ({ authorization: `Bearer ${token}` })

describe('protect, in Fastify', () => {
  it('lets through what the guard allows and tells the handler who it is', async () => {
    const app = application()
    app.get('/orders/:id', { onRequest: protect(orders) }, (request) => ({
      subject: principalOf(orders, request).subject,
      ambient: ambientCaller().subject,
    }))
    const port = await portOf(app)
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
    [as('down'), 503, undefined],
    [as('broken'), 500, undefined],
  ] as const)('answers %o with %i, before any content is read', async (headers, status, challenge) => {
    let parsed = false
    const app = application()
    app.addHook('onRequest', protect(orders))
    app.addContentTypeParser('*', (_request, _payload, done) => {
      parsed = true
      done(null)
    })
    app.post('/', async () => 'reached')
    const answer = await ask(await portOf(app), tls.client, { method: 'POST', headers, body: 'x' })
    expect(answer.status).toBe(status)
    expect(answer.headers['www-authenticate']).toBe(challenge)
    expect(answer.headers['content-type']).toMatch('application/problem+json')
    expect(parsed).toBe(false)
  })

  it('names every scheme on offer', async () => {
    const app = application()
    app.get('/', { onRequest: protect(guard({ authenticate: allOf(tokens, passwords) })) }, async () => '')
    expect(
      (await ask(await portOf(app), tls.client)).rawHeaders.filter((_, at, all) => all[at - 1]?.toLowerCase() === 'www-authenticate'),
    ).toEqual(['Bearer realm="tests"', 'Basic realm="tests", charset="UTF-8"'])
  })

  it('judges what no route matches too, where it covers the application', async () => {
    const app = application()
    app.addHook('onRequest', protect(orders))
    const port = await portOf(app)
    expect((await ask(port, tls.client, { path: '/nowhere' })).status).toBe(401)
    expect((await ask(port, tls.client, { path: '/nowhere', headers: as('alice') })).status).toBe(404)
    expect(events).toMatchObject([{ resource: '(unmatched)' }, { resource: '(unmatched)', outcome: 'allow' }])
  })

  it('refuses a path that can be read in two ways, and throws where no guard has run', async () => {
    const app = application()
    app.get('/*', { onRequest: protect(orders) }, async () => 'reached')
    app.get('/open', (request) => principalOf(orders, request).subject)
    const port = await portOf(app)
    expect((await ask(port, tls.client, { path: '/a%2fb', headers: as('alice') })).status).toBe(400)
    expect((await ask(port, tls.client, { path: '/open', headers: as('alice') })).status).toBe(500)
  })

  it('refuses a server without TLS', async () => {
    const app = Fastify()
    apps.push(app)
    app.get('/', { onRequest: protect(orders) }, async () => 'reached')
    await app.listen({ port: 0, host: '127.0.0.1' })
    expect((await fetch(`http://127.0.0.1:${(app.server.address() as AddressInfo).port}/`, { headers: as('alice') })).status).toBe(403)
  })
})
