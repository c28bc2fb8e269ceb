import {
  authenticator,
  everyone,
  guard,
  notMine,
  scope,
  vouchForPrincipal,
  withScopes,
  type AuditEvent,
  type Principal,
} from '@portcullis/core'
import { developmentTls, type DevelopmentTls } from '@portcullis/tls/development'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { json, resource, serve, service, type Handler, type Listener, type ListenerOptions } from './index.ts'
import { Router } from './router.ts'
import { ask, passwords, tokens } from './service.test-support.ts'

let tls: DevelopmentTls
let events: AuditEvent[] = []
const open: Listener[] = []

beforeAll(async () => {
  tls = await developmentTls()
})
beforeEach(() => {
  events = []
})
afterEach(() => Promise.all(open.splice(0).map((listener) => listener.close({ graceMs: 0 }))))
afterAll(() => tls.close())

const root = guard({ authenticate: tokens, authorize: scope('orders:read'), audit: (event) => events.push(event) })
const say =
  (text: string): Handler =>
  (_request, principal, { parameters, resource: matched }) =>
    json({ text, matched, parameters, subject: principal.subject })

async function start(options: Partial<ListenerOptions>, handler?: Handler): Promise<Listener> {
  const listener = await serve({ tls, guard: root, port: 0, ...options }, handler)
  open.push(listener)
  return listener
}

const as = (token: string): Record<string, string> => ({ authorization: `Bearer ${token}` })
const basic = { authorization: `Basic ${Buffer.from('carol:secret').toString('base64')}` }

async function get(
  listener: Listener,
  path: string,
  headers: Record<string, string> = as('alice'),
  method = 'GET',
): Promise<{ status: number; seen: Record<string, unknown> }> {
  const { status, text } = await ask(listener.port, tls.client, { path, headers, method })
  return { status, seen: text === '' ? {} : (JSON.parse(text) as Record<string, unknown>) }
}

describe('the most specific route', () => {
  const services = [
    service({
      path: '/orders',
      guard: root,
      resources: [
        { method: 'GET', path: '/', handler: say('list') },
        { method: 'GET', path: '/new', handler: say('new') },
        { method: 'GET', path: '/:id', handler: say('one') },
        { method: 'GET', path: '/:id/lines', handler: say('lines') },
        { method: 'GET', path: '/new/draft', handler: say('draft') },
        { method: 'GET', path: '/files/*', handler: say('files') },
        { method: '*', path: '/*', handler: say('rest') },
      ],
    }),
  ]

  it.each([
    ['/orders', 'list', {}],
    ['/orders/new', 'new', {}],
    ['/orders/7', 'one', { id: '7' }],
    ['/orders/a%20b', 'one', { id: 'a b' }],
    ['/orders/%6eew', 'new', {}],
    ['/orders/new/lines', 'lines', { id: 'new' }],
    ['/orders/new/draft', 'draft', {}],
    ['/orders/files/a/b', 'files', { '*': 'a/b' }],
    ['/orders/7/other', 'rest', { '*': '7/other' }],
    ['/orders/', 'rest', { '*': '' }],
  ])('of %s is %s', async (path, text, parameters) => {
    const listener = await start({ services })
    expect(await get(listener, path)).toMatchObject({ status: 200, seen: { text, parameters } })
  })

  it('is what the guard judges', async () => {
    const listener = await start({ services })
    await get(listener, '/orders/7?x=y')
    expect(events).toMatchObject([{ resource: '/orders/:id', action: 'GET' }])
  })

  it('knows no prototype of parameters', async () => {
    const listener = await start({
      services: [service({ path: '/', guard: root, resources: [{ method: 'GET', path: '/:__proto__', handler: say('x') }] })],
    })
    expect((await get(listener, '/polluted')).status).toBe(200)
    expect(({} as Record<string, unknown>)['polluted']).toBeUndefined()
  })
})

describe('what no route covers', () => {
  const services = [
    service({
      path: '/orders',
      guard: root.with({ authenticate: passwords }),
      resources: [{ method: 'GET', path: '/:id', handler: say('one') }],
    }),
  ]

  it('is refused, but not told to who may not come in', async () => {
    const listener = await start({ services })
    expect((await get(listener, '/elsewhere', {})).status).toBe(401)
    expect((await get(listener, '/elsewhere')).status).toBe(404)
    // Below a service it is the service that judges.
    expect((await get(listener, '/orders/7/x')).status).toBe(401)
    expect((await get(listener, '/orders/7/x', basic)).status).toBe(404)
    expect((await get(listener, '/ordersx')).status).toBe(404)
  })

  it('is a 405 with the methods of the path, for who may come in', async () => {
    const listener = await start({ services })
    expect((await get(listener, '/orders/7', {}, 'DELETE')).status).toBe(401)
    const { status, headers } = await ask(listener.port, tls.client, { path: '/orders/7', method: 'DELETE', headers: basic })
    expect({ status, allow: headers['allow'] }).toEqual({ status: 405, allow: 'GET, HEAD' })
  })

  it('is the handler of the listener, where there is one', async () => {
    const listener = await start({ services }, say('fallback'))
    expect(await get(listener, '/elsewhere')).toMatchObject({ status: 200, seen: { text: 'fallback', matched: '/*' } })
    expect((await get(listener, '/orders/7', as('alice'))).status).toBe(401)
  })

  it.each(['CONNECT', 'TRACE'])('includes %s', async (method) => {
    const listener = await start({ services })
    expect(
      (await ask(listener.port, tls.client, { path: '/orders/7', method, headers: basic }).catch(() => ({ status: 501 }))).status,
    ).toBe(501)
  })
})

describe('levels', () => {
  const services = [
    service({
      path: '/orders',
      guard: root,
      resources: [
        { method: 'GET', path: '/', handler: say('inherits') },
        { method: 'POST', path: '/', authorize: scope('orders:write'), handler: say('other rights') },
        resource({
          method: 'GET',
          path: '/basic',
          guard: root.with({ authenticate: passwords }),
          handler: say('other mechanism, inherited rights'),
        }),
        resource({
          method: 'GET',
          path: '/own',
          guard: root.with({ authenticate: withScopes(passwords, ['admin']) }),
          handler: say('leaf with rights'),
        }),
        resource({ method: 'GET', path: '/open', guard: guard({ authenticate: everyone() }), handler: say('open') }),
      ],
    }),
  ]

  it.each([
    ['GET', '/orders', as('alice'), 200],
    ['GET', '/orders', as('bob'), 403],
    ['POST', '/orders', as('alice'), 403],
    ['GET', '/orders/basic', as('alice'), 401],
    ['GET', '/orders/basic', basic, 200],
    ['GET', '/orders/own', basic, 403],
    ['GET', '/orders/open', {}, 200],
    ['GET', '/orders/open', as('expired'), 200],
  ] as const)('%s %s with %o is %i', async (method, path, headers, status) => {
    const listener = await start({ services })
    expect((await get(listener, path, headers as Record<string, string>, method)).status).toBe(status)
  })

  it('give the handler the principal of its own guard', async () => {
    const typed = authenticator<Principal<{ readonly tenant: string }>>('typed', (request) =>
      request.credentials.length === 0 ? notMine : vouchForPrincipal({ issuer: 'i', subject: 's', claims: { tenant: 't1' } }),
    )
    const listener = await start({
      services: [
        service({
          path: '/',
          guard: guard({ authenticate: typed }),
          resources: [{ method: 'GET', path: '/', handler: (_request, principal) => json({ tenant: principal.claims.tenant }) }],
        }),
      ],
    })
    expect((await get(listener, '/')).seen).toEqual({ tenant: 't1' })
  })
})

describe('hooks', () => {
  it('run before and after the guard, in order, and may answer', async () => {
    const order: string[] = []
    const listener = await start(
      {
        hooks: {
          before: [
            () => void order.push('first'),
            (request) => (request.headers.has('x-stop') ? json({ stopped: true }, { status: 418 }) : void order.push('second')),
          ],
          after: [
            (_request, principal) => void order.push(`after ${principal.subject}`),
            (request) => (request.headers.has('x-late') ? json({ late: true }) : undefined),
          ],
        },
      },
      () => {
        order.push('handler')
        return json({})
      },
    )
    expect((await get(listener, '/')).status).toBe(200)
    expect(order).toEqual(['first', 'second', 'after alice', 'handler'])
    expect((await get(listener, '/', { 'x-stop': '1' })).status).toBe(418)
    expect((await get(listener, '/', { ...as('alice'), 'x-late': '1' })).seen).toEqual({ late: true })
    order.length = 0
    expect((await get(listener, '/', {})).status).toBe(401)
    expect(order).toEqual(['first', 'second'])
  })

  it('that fail are a 500, and the handler does not run', async () => {
    let handled = false
    const listener = await start({ hooks: { before: [() => Promise.reject(new Error('inner'))] } }, () => {
      handled = true
      return json({})
    })
    expect((await get(listener, '/')).status).toBe(500)
    expect(handled).toBe(false)
  })
})

describe('construction', () => {
  const one = { method: 'GET', path: '/', handler: say('x') } as const
  it.each([
    ['a method that is none', [{ ...one, method: 'get' }]],
    ['HEAD by itself', [{ ...one, method: 'HEAD' }]],
    ['a path without slash', [{ ...one, path: 'x' }]],
    ['a path with escapes', [{ ...one, path: '/%41' }]],
    ['a path with dots', [{ ...one, path: '/../x' }]],
    ['a star in the middle', [{ ...one, path: '/*/x' }]],
    ['the same twice', [one, one]],
    [
      'the same under two names',
      [
        { ...one, path: '/:a' },
        { ...one, method: 'POST', path: '/:b' },
      ],
    ],
    ['one name twice', [{ ...one, path: '/:a/:a' }]],
    ['a resource without handler', [{ ...one, handler: undefined }]],
    ['a bare resource with a guard', [{ ...one, guard: root }]],
    ['no resource', []],
  ])('refuses %s', (_, resources) => {
    expect(() => new Router(root as never, [{ path: '/', guard: root, resources }] as never, undefined, undefined)).toThrow(
      expect.objectContaining({ code: 'ERR_HTTP_ROUTE_INVALID' }),
    )
  })

  it('refuses a service without a guard', () => {
    expect(() => new Router(root as never, [{ path: '/', resources: [one] }] as never, undefined, undefined)).toThrow(
      expect.objectContaining({ code: 'ERR_GUARD_MISSING' }),
    )
  })

  it('refuses a misspelt key in a service or a resource', () => {
    expect(
      () => new Router(root as never, [{ path: '/', guard: root, resource: [one], resources: [one] }] as never, undefined, undefined),
    ).toThrow(expect.objectContaining({ code: 'ERR_OPTION_UNKNOWN' }))
    expect(
      () =>
        new Router(
          root as never,
          [{ path: '/', guard: root, resources: [{ ...one, authorise: scope('x') }] }] as never,
          undefined,
          undefined,
        ),
    ).toThrow(expect.objectContaining({ code: 'ERR_OPTION_UNKNOWN' }))
  })
})
