import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  cached,
  everyone,
  guard,
  refused,
  secret,
  authenticator,
  credentialOf,
  notMine,
  vouchForPrincipal,
  type Credential,
  type CredentialSource,
  type Principal,
} from '@portcullis/core'
import { tlsBundle } from '@portcullis/tls'
import { anyHostName } from '@portcullis/tls/danger'
import { developmentTls, type DevelopmentTls } from '@portcullis/tls/development'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { client, json, serve, type Client, type ClientOptions, type Listener, type ListenerOptions } from './index.ts'
import { plaintextChannel } from './danger.ts'
import type { FetchHandler, Handler } from './handler.ts'
import { bearer, passwords, tokens } from './service.test-support.ts'

let tls: DevelopmentTls
const open: { close(): unknown }[] = []

beforeAll(async () => {
  tls = await developmentTls()
})
afterEach(async () => {
  await Promise.all(open.splice(0).map((one) => (one as Listener).close()))
})
afterAll(() => tls.close())

async function start(handler: Handler, options: Partial<ListenerOptions> = {}): Promise<Listener> {
  const listener = await serve({ tls, guard: guard({ authenticate: everyone() }), port: 0, ...options } as ListenerOptions, handler)
  open.push({ close: () => listener.close({ graceMs: 0 }) })
  return listener
}

async function calling(options: ClientOptions<CredentialSource> = {}): Promise<Client> {
  const made = await client({ tls: tls.client, ...options })
  open.push(made)
  return made
}

/** What arrived, as the peer saw it. */
const echo: FetchHandler = async (request) =>
  json({
    method: request.method,
    path: new URL(request.url).pathname,
    headers: Object.fromEntries(request.headers),
    body: await request.text(),
  })

interface Echo {
  readonly method: string
  readonly path: string
  readonly headers: Record<string, string>
  readonly body: string
}

describe('a call', () => {
  it('presents the credential of the source and gives the answer', async () => {
    const { origin } = await start(echo, { guard: guard({ authenticate: tokens }) as never })
    const call = await calling({ credentials: bearer('alice') })
    const response = await call(`${origin}/orders`, {
      method: 'POST',
      body: JSON.stringify({ a: 1 }),
      headers: { 'content-type': 'application/json' },
    })
    expect(response.status).toBe(200)
    expect(response.url).toBe(`${origin}/orders`)
    const seen = (await response.json()) as Echo
    expect(seen).toMatchObject({
      method: 'POST',
      path: '/orders',
      body: '{"a":1}',
      headers: { authorization: 'Bearer alice', 'content-type': 'application/json' },
    })
  })

  it.each([
    ['form fields', new URLSearchParams({ a: 'b c' }), 'a=b+c'],
    ['bytes', new TextEncoder().encode('bytes'), 'bytes'],
    [
      'a stream',
      new ReadableStream({
        start: (controller) => {
          controller.enqueue(new TextEncoder().encode('streamed'))
          controller.close()
        },
      }),
      'streamed',
    ],
  ] as const)('sends %s', async (_, body, expected) => {
    const { origin } = await start(echo)
    const call = await calling()
    expect(((await (await call(origin, { method: 'PUT', body })).json()) as Echo).body).toBe(expected)
  })

  it('tells the source for which origin, method and URI', async () => {
    const { origin } = await start(echo)
    const asked: unknown[] = []
    const call = await calling({
      credentials: (request) => {
        asked.push(request.target, (request as { binding?: unknown }).binding)
        return bearer('x')(request)
      },
    })
    await (await call(`${origin}/a?b=c`, { method: 'DELETE' })).text()
    expect(asked).toEqual([
      { origin, secure: true },
      { method: 'DELETE', uri: `${origin}/a` },
    ])
  })

  it('refuses an Authorization field beside a source', async () => {
    const call = await calling({ credentials: bearer('alice') })
    await expect(call('https://localhost:1', { headers: { authorization: 'Bearer other' } })).rejects.toMatchObject({
      code: 'ERR_HTTP_CREDENTIAL_CONFLICT',
    })
  })

  it('rejects with what the source throws, having sent nothing', async () => {
    let arrived = 0
    const { origin } = await start(() => {
      arrived++
      return json({})
    })
    const call = await calling({
      credentials: () => {
        throw new Error('no credential')
      },
    })
    await expect(call(origin)).rejects.toThrow('no credential')
    expect(arrived).toBe(0)
  })

  it('presents an API key in its own field, and nothing that has no field', async () => {
    const { origin } = await start(echo)
    const withKey = await calling({
      credentials: () => ({ credential: { kind: 'apiKey', carrier: 'header:x-api-key', name: 'x-api-key', key: secret('k1') } }),
    })
    expect(((await (await withKey(origin)).json()) as Echo).headers['x-api-key']).toBe('k1')
    const withPublicKey = await calling({
      credentials: () => ({ credential: { kind: 'publicKey', carrier: 'ssh', algorithm: 'x', key: new Uint8Array() } }),
    })
    await expect(withPublicKey(origin)).rejects.toMatchObject({ code: 'ERR_HTTP_CREDENTIAL_UNSUPPORTED' })
  })
})

describe('a secure channel', () => {
  it('is the only one that is called over', async () => {
    const call = await calling({ credentials: bearer('alice') })
    await expect(call('http://localhost:1/')).rejects.toMatchObject({ code: 'ERR_HTTP_INSECURE_TARGET' })
  })

  it('needs a server whom it trusts', async () => {
    const stranger = await developmentTls()
    const { origin } = await start(echo)
    const call = await calling({ tls: stranger.client, credentials: bearer('alice') })
    await expect(call(origin)).rejects.toMatchObject({ code: 'ERR_HTTP_TLS', family: 'authentication' })
  })

  it('needs the name that was asked for', async () => {
    const { origin } = await start(echo)
    const call = await calling({ serverName: 'other.localhost' })
    await expect(call(origin)).rejects.toMatchObject({ code: 'ERR_HTTP_TLS' })
    const careless = await calling({
      serverName: 'other.localhost',
      tls: { side: 'client', trust: { pem: tls.authority }, hostName: anyHostName },
    })
    expect((await careless(origin)).status).toBe(200)
  })

  it('is not what a plaintext port speaks', async () => {
    const plain: Server = createServer((_request, response) => response.end('clear'))
    await new Promise<void>((resolve) => plain.listen(0, '127.0.0.1', resolve))
    const { port } = plain.address() as AddressInfo
    const call = await calling({ credentials: bearer('alice') })
    await expect(call(`https://localhost:${port}`)).rejects.toMatchObject({ code: 'ERR_HTTP_TLS' })
    plain.close()
  })

  it('may be done without by a symbol, and then sources are told so', async () => {
    const listener = await start(echo, { tls: plaintextChannel })
    const asked: unknown[] = []
    const call = await calling({
      tls: plaintextChannel as never,
      credentials: (request) => {
        asked.push(request.target.secure)
        return bearer('x')(request)
      },
    })
    expect((await call(listener.origin)).status).toBe(200)
    expect(asked).toEqual([false])
  })
})

describe('a refused credential', () => {
  let presented: string[]
  let accepted: string
  const rotating = authenticator(
    'rotating',
    (request) => {
      const token = credentialOf(request.credentials, 'bearer')?.token.reveal()
      if (token === undefined) return notMine
      presented.push(token)
      return token === accepted ? vouchForPrincipal({ issuer: 'tests', subject: 'alice' }) : refused('ERR_TEST_OLD')
    },
    [{ scheme: 'Bearer' }],
  )
  const start401 = (): Promise<Listener> => start(echo, { guard: guard({ authenticate: rotating }) as never })
  beforeEach(() => {
    presented = []
    accepted = 'token-2'
  })

  it('is replaced once, the content sent again', async () => {
    const { origin } = await start401()
    let made = 0
    const call = await calling({
      credentials: cached(() => ({ credential: { kind: 'bearer', carrier: 'authorization', token: secret(`token-${++made}`) } })),
    })
    const response = await call(origin, { method: 'POST', body: 'again' })
    expect(((await response.json()) as Echo).body).toBe('again')
    expect(presented).toEqual(['token-1', 'token-2'])
  })

  it('is replaced no second time', async () => {
    accepted = 'never'
    const { origin } = await start401()
    let made = 0
    const call = await calling({
      credentials: () => ({ credential: { kind: 'bearer', carrier: 'authorization', token: secret(`token-${++made}`) } }),
    })
    expect((await call(origin)).status).toBe(401)
    expect(presented).toEqual(['token-1', 'token-2'])
  })

  it('is not sent again if the source has no other', async () => {
    const { origin } = await start401()
    const call = await calling({ credentials: bearer('token-1') })
    expect((await call(origin)).status).toBe(401)
    expect(presented).toEqual(['token-1'])
  })

  it('is the end where the content is a stream', async () => {
    const { origin } = await start401()
    let made = 0
    const call = await calling({
      credentials: () => ({ credential: { kind: 'bearer', carrier: 'authorization', token: secret(`token-${++made}`) } }),
    })
    const response = await call(origin, { method: 'POST', body: new Blob(['once']).stream() })
    expect(response.status).toBe(401)
    expect(presented).toEqual(['token-1'])
  })

  it('is never a password that is sent twice', async () => {
    const { origin } = await start(echo, { guard: guard({ authenticate: passwords }) as never })
    const asked: (Credential | undefined)[] = []
    const call = await calling({
      credentials: (request) => {
        asked.push(request.refused)
        return { credential: { kind: 'basic', carrier: 'authorization', username: 'alice', password: secret(`wrong-${asked.length}`) } }
      },
    })
    expect((await call(origin)).status).toBe(401)
    expect(asked).toEqual([undefined])
  })
})

describe('a redirect', () => {
  const to =
    (location: string, status = 302): Handler =>
    (request) =>
      new URL(request.url).pathname === '/start' ? { status, headers: { location } } : echo(request, undefined as never, undefined as never)

  it('within the origin carries the credential on', async () => {
    const { origin } = await start(to('/end'))
    const call = await calling({ credentials: bearer('alice') })
    const response = await call(`${origin}/start`)
    expect(response).toMatchObject({ redirected: true, url: `${origin}/end` })
    expect(((await response.json()) as Echo).headers['authorization']).toBe('Bearer alice')
  })

  it('to another origin leaves every credential behind', async () => {
    const other = await start(echo)
    const { origin } = await start(to(`${other.origin}/end`))
    const asked: string[] = []
    const call = await calling({
      credentials: (request) => {
        asked.push(request.target.origin)
        return bearer('alice')(request)
      },
    })
    const seen = (await (await call(`${origin}/start`, { headers: { cookie: 'a=b', 'x-kept': '1' } })).json()) as Echo
    expect(seen.headers).not.toHaveProperty('authorization')
    expect(seen.headers).not.toHaveProperty('cookie')
    expect(seen.headers['x-kept']).toBe('1')
    expect(asked).toEqual([origin])
    const own = await calling()
    expect(
      ((await (await own(`${origin}/start`, { headers: { authorization: 'Bearer own' } })).json()) as Echo).headers,
    ).not.toHaveProperty('authorization')
  })

  it('to http is not followed', async () => {
    const { origin } = await start(to('http://localhost:1/'))
    await expect((await calling())(`${origin}/start`)).rejects.toMatchObject({ code: 'ERR_HTTP_REDIRECT' })
  })

  it('that never ends is left', async () => {
    const { origin } = await start(to('/start'))
    await expect((await calling({ maxRedirects: 2 }))(`${origin}/start`)).rejects.toMatchObject({ code: 'ERR_HTTP_REDIRECT' })
  })

  it('turns a POST into a GET on 302 and keeps it on 307', async () => {
    const found = await start(to('/end', 302))
    const temporary = await start(to('/end', 307))
    const call = await calling()
    expect(await (await call(`${found.origin}/start`, { method: 'POST', body: 'b' })).json()).toMatchObject({ method: 'GET', body: '' })
    expect(await (await call(`${temporary.origin}/start`, { method: 'POST', body: 'b' })).json()).toMatchObject({
      method: 'POST',
      body: 'b',
    })
  })

  it('is the answer itself, or an error, as fetch has it', async () => {
    const { origin } = await start(to('/end'))
    const call = await calling()
    expect((await call(`${origin}/start`, { redirect: 'manual' })).status).toBe(302)
    await expect(call(`${origin}/start`, { redirect: 'error' })).rejects.toMatchObject({ code: 'ERR_HTTP_REDIRECT' })
  })
})

describe('a peer that does not answer', () => {
  it('is given up after the time-out', async () => {
    const { origin } = await start(() => new Promise(() => undefined))
    await expect((await calling({ timeoutMs: 80 }))(origin)).rejects.toMatchObject({ code: 'ERR_HTTP_ANSWER_TIMEOUT' })
  })

  it('is given up when it stops in the middle', async () => {
    const { origin } = await start(() => ({
      body: new ReadableStream({ start: (controller) => controller.enqueue(new TextEncoder().encode('half')) }) as never,
    }))
    const response = await (await calling({ idleMs: 80 }))(origin)
    await expect(response.text()).rejects.toThrow()
  })

  it('is given up when the caller says so', async () => {
    const { origin } = await start(() => new Promise(() => undefined))
    await expect((await calling())(origin, { signal: AbortSignal.timeout(60) })).rejects.toMatchObject({ name: 'TimeoutError' })
  })

  it('is an outage if there is none', async () => {
    await expect((await calling())('https://localhost:1')).rejects.toMatchObject({ code: 'ERR_HTTP_CONNECTION', family: 'unavailable' })
  })
})

describe('a call on behalf of a caller', () => {
  it('brings the caller to the source', async () => {
    const { origin } = await start(echo)
    const call = await client({
      tls: tls.client,
      credentials: ({ onBehalfOf }: { readonly onBehalfOf: Principal }) => ({
        credential: { kind: 'bearer', carrier: 'authorization', token: secret(`for-${onBehalfOf.subject}`) } as const,
      }),
    })
    open.push(call)
    const alice = vouchForPrincipal({ issuer: 'tests', subject: 'alice' })
    expect(((await (await call(origin, { onBehalfOf: alice })).json()) as Echo).headers['authorization']).toBe('Bearer for-alice')
  })
})

describe('its connections', () => {
  /** Answers when it is told to. */
  function holding(): { readonly handler: FetchHandler; readonly begun: Promise<void>; readonly release: () => void } {
    const [begun, released] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
    const handler: FetchHandler = async () => {
      begun.resolve()
      await released.promise
      return json({ late: true })
    }
    return { handler, begun: begun.promise, release: () => released.resolve() }
  }
  const connections = (listener: Listener): Promise<number> =>
    new Promise((resolve, reject) => listener.server.getConnections((error, count) => (error ? reject(error) : resolve(count))))

  it.each(['over TLS', 'in clear'])('are kept for the next call, and closed when the client is: %s', async (how) => {
    const clear = how === 'in clear' && { tls: plaintextChannel as never }
    const listener = await start(echo, clear || {})
    const call = await calling(clear || {})
    for (let calls = 0; calls < 3; calls++) await (await call(listener.origin)).text()
    expect(await connections(listener)).toBe(1)
    call.close()
    await expect.poll(() => connections(listener)).toBe(0)
  })

  it('outlast the client for a call under way, and no longer', async () => {
    const { handler, begun, release } = holding()
    const listener = await start(handler)
    const call = await calling()
    const answer = call(listener.origin)
    await begun
    call.close()
    release()
    expect(await (await answer).json()).toEqual({ late: true })
    await expect.poll(() => connections(listener)).toBe(0)
  })

  it('are made anew after a reload: the old ones are closed, once their call is over', async () => {
    const { handler, begun, release } = holding()
    const listener = await start((request, ...rest) => (request.url.endsWith('/held') ? handler : echo)(request, ...rest))
    const bundle = await tls.clientFor('shop')
    const call = await calling({ tls: bundle })
    await (await call(listener.origin)).text()
    await bundle.reload()
    await expect.poll(() => connections(listener)).toBe(0)
    const held = call(`${listener.origin}/held`)
    await begun
    await bundle.reload()
    release()
    expect(await (await held).json()).toEqual({ late: true })
    await expect.poll(() => connections(listener)).toBe(0)
  })

  it('are cut when the server is no longer trusted, even in the middle of an answer', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'portcullis-http-'))
    const file = join(folder, 'trust.pem')
    await writeFile(file, tls.authority)
    const bundle = await tlsBundle({ side: 'client', trust: { pemFile: file } })
    try {
      const endless = new ReadableStream({ start: (controller) => controller.enqueue(new TextEncoder().encode('begin')) })
      const { origin } = await start(() => ({ body: endless as never }))
      const call = await calling({ tls: bundle })
      const reading = (await call(origin)).text()
      const other = await developmentTls()
      await writeFile(file, other.authority)
      other.close()
      await bundle.reload()
      await expect(reading).rejects.toThrow()
    } finally {
      bundle.close()
      await rm(folder, { recursive: true })
    }
  })
})

describe('construction', () => {
  it.each([
    [{ credentials: undefined }, 'ERR_OPTION_MISSING'],
    [{ timeoutMs: 0 }, 'ERR_OPTION_INVALID'],
    [{ credential: 1 }, 'ERR_OPTION_UNKNOWN'],
    [{ serverName: '' }, 'ERR_OPTION_INVALID'],
  ] as const)('refuses %o with %s', async (options, code) => {
    await expect(client({ tls: tls.client, ...options } as never)).rejects.toMatchObject({ code })
  })
})
