import { guard } from '@portcullis/core'
import { developmentTls, type DevelopmentTls } from '@portcullis/tls/development'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { json, serve, service, type Cors, type Listener } from './index.ts'
import { CorsRules } from './cors.ts'
import { ask, tokens } from './service.test-support.ts'

let tls: DevelopmentTls
let listener: Listener | undefined
let handled = 0

beforeAll(async () => {
  tls = await developmentTls()
})
afterEach(() => listener?.close({ graceMs: 0 }))
afterAll(() => tls.close())

const root = guard({ authenticate: tokens })
const app = 'https://app.example'

async function start(cors: Cors | undefined, own?: Cors): Promise<number> {
  handled = 0
  const handler = () => {
    handled++
    return json({})
  }
  const resources = [
    { method: 'GET', path: '/', handler },
    { method: 'DELETE', path: '/', handler, ...(own && { cors: own }) },
  ] as const
  listener = await serve({
    tls,
    guard: root,
    port: 0,
    services: [service({ path: '/orders', guard: root, ...(cors && { cors }), resources })],
  })
  return listener.port
}

const preflight = (origin: string, method = 'GET') => ({
  method: 'OPTIONS',
  path: '/orders',
  headers: { origin, 'access-control-request-method': method },
})

describe('a preflight', () => {
  it('is answered before the guard, for a page that may', async () => {
    const port = await start({ allowOrigins: [app], allowCredentials: true, exposeHeaders: ['x-total'], maxAgeSeconds: 60 })
    const { status, headers } = await ask(port, tls.client, preflight(app))
    expect(status).toBe(204)
    expect(headers).toMatchObject({
      'access-control-allow-origin': app,
      'access-control-allow-credentials': 'true',
      'access-control-allow-methods': 'GET, HEAD, DELETE',
      'access-control-allow-headers': 'authorization, content-type',
      'access-control-max-age': '60',
      vary: 'origin',
    })
    expect(handled).toBe(0)
  })

  it.each(['https://evil.example', 'https://app.example.evil.example', 'http://app.example', 'null'])(
    'allows %s nothing',
    async (origin) => {
      const port = await start({ allowOrigins: [app] })
      const { headers } = await ask(port, tls.client, preflight(origin))
      expect(Object.keys(headers).filter((name) => name.startsWith('access-control'))).toEqual([])
    },
  )

  it('goes by the resource that it asks about', async () => {
    const port = await start({ allowOrigins: [app] }, { allowOrigins: ['https://admin.example'] })
    expect((await ask(port, tls.client, preflight(app, 'DELETE'))).headers['access-control-allow-origin']).toBeUndefined()
    expect((await ask(port, tls.client, preflight('https://admin.example', 'DELETE'))).headers['access-control-allow-origin']).toBe(
      'https://admin.example',
    )
  })

  it('is judged like any request where nothing was said of other origins', async () => {
    const port = await start(undefined)
    expect((await ask(port, tls.client, preflight(app))).status).toBe(401)
  })

  it('is no way round the guard: an OPTIONS that is none is judged', async () => {
    const port = await start({ allowOrigins: [app] })
    expect((await ask(port, tls.client, { method: 'OPTIONS', path: '/orders', headers: { origin: app } })).status).toBe(401)
    expect(
      (await ask(port, tls.client, { method: 'GET', path: '/orders', headers: { origin: app, 'access-control-request-method': 'GET' } }))
        .status,
    ).toBe(401)
  })
})

describe('an answer to a page', () => {
  it('may be read, and so may a refusal', async () => {
    const port = await start({ allowOrigins: [app], exposeHeaders: ['x-total'] })
    const allowed = await ask(port, tls.client, { path: '/orders', headers: { origin: app, authorization: 'Bearer alice' } })
    expect(allowed.headers).toMatchObject({
      'access-control-allow-origin': app,
      'access-control-expose-headers': 'x-total',
      vary: 'origin',
    })
    const refused = await ask(port, tls.client, { path: '/orders', headers: { origin: app } })
    expect(refused).toMatchObject({ status: 401, headers: { 'access-control-allow-origin': app } })
    expect(
      (await ask(port, tls.client, { path: '/orders', headers: { origin: 'https://evil.example', authorization: 'Bearer alice' } }))
        .headers['access-control-allow-origin'],
    ).toBeUndefined()
  })
})

describe('construction', () => {
  it.each([
    [{ allowOrigins: '*', allowCredentials: true }],
    [{ allowOrigins: [] }],
    [{ allowOrigins: ['app.example'] }],
    [{ allowOrigins: ['https://app.example/'] }],
    [{ allowOrigins: ['*'] }],
    [{ allowOrigins: [app], maxAgeSeconds: -1 }],
    [{ allowOrigins: [app], allowMethod: ['GET'] }],
  ])('refuses %o', (cors) => {
    expect(() => new CorsRules('cors', cors as never)).toThrow(expect.objectContaining({ family: 'configuration' }))
  })
})
