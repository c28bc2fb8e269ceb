import { ambientCaller, everyone, guard, scope, type AuditEvent } from '@portcullis/core'
import { developmentTls, type DevelopmentTls } from '@portcullis/tls/development'
import { Hono } from 'hono'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { principalOf, protect, type ProtectedBindings } from './hono.ts'
import { serve, type Listener } from './index.ts'
import { ask, tokens } from './service.test-support.ts'

let tls: DevelopmentTls
let events: AuditEvent[] = []
const open: Listener[] = []
const orders = guard({ authenticate: tokens, authorize: scope('orders:read'), audit: (event) => events.push(event) })

beforeAll(async () => {
  tls = await developmentTls()
})
beforeEach(() => {
  events = []
})
afterEach(() => Promise.all(open.splice(0).map((listener) => listener.close({ graceMs: 0 }))))
afterAll(() => tls.close())

async function start(app: Hono<{ Bindings: ProtectedBindings }>): Promise<number> {
  const listener = await serve({ tls, guard: guard({ authenticate: everyone() }), port: 0 }, (request, _nobody, { channel }) =>
    app.fetch(request, { channel }),
  )
  open.push(listener)
  return listener.port
}

const as = (token: string): Record<string, string> => ({ authorization: `Bearer ${token}` })

describe('protect, in Hono', () => {
  it('lets through what the guard allows and tells the handler who it is', async () => {
    const app = new Hono<{ Bindings: ProtectedBindings }>()
    app.use('/orders/*', protect(orders))
    app.get('/orders/:id', (c) =>
      c.json({ subject: principalOf(orders, c.req.raw).subject, ambient: ambientCaller().subject, id: c.req.param('id') }),
    )
    const port = await start(app)
    expect(JSON.parse((await ask(port, tls.client, { path: '/orders/7', headers: as('alice') })).text)).toEqual({
      subject: 'alice',
      ambient: 'alice',
      id: '7',
    })
    expect(events).toMatchObject([{ action: 'GET', resource: '/orders/:id', outcome: 'allow' }])
  })

  it.each([
    [{}, 401, 'Bearer realm="tests"'],
    [as('expired'), 401, 'Bearer realm="tests", error="invalid_token"'],
    [as('bob'), 403, 'Bearer realm="tests", error="insufficient_scope", scope="orders:read"'],
    [{ authorization: ['Bearer alice', 'Bearer alice'] as unknown as string }, 400, 'Bearer realm="tests", error="invalid_request"'],
    [as('down'), 503, undefined],
    [as('broken'), 500, undefined],
  ] as const)('answers %o with %i', async (headers, status, challenge) => {
    let handled = false
    const app = new Hono<{ Bindings: ProtectedBindings }>()
    app.use(protect(orders))
    app.get('/', (c) => {
      handled = true
      return c.text('')
    })
    const answer = await ask(await start(app), tls.client, { headers })
    expect(answer.status).toBe(status)
    expect(answer.headers['www-authenticate']).toBe(challenge)
    expect(handled).toBe(false)
  })

  it('throws where no guard has run', async () => {
    const app = new Hono<{ Bindings: ProtectedBindings }>()
    app.get('/', (c) => c.text(principalOf(orders, c.req.raw).subject))
    app.onError((error, c) => c.text(error.message, 500))
    expect((await ask(await start(app), tls.client, { headers: as('alice') })).status).toBe(500)
  })

  it('refuses everything where nobody tells it how the request came', async () => {
    const app = new Hono()
    app.use(protect(orders))
    app.get('/', (c) => c.text('reached'))
    expect((await app.request('https://localhost/', { headers: as('alice') })).status).toBe(403)
  })
})
