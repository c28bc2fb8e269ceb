import { connect as connectH2, type ClientHttp2Session, type IncomingHttpHeaders } from 'node:http2'
import { Server as TlsServer } from 'node:tls'
import { allOf, everyone, guard, scope, type AuditEvent } from '@portcullis/core'
import { secureClientOptions } from '@portcullis/tls'
import { developmentTls, type DevelopmentTls } from '@portcullis/tls/development'
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import { json, serve, type Listener, type ListenerOptions } from './index.ts'
import type { Handler } from './handler.ts'
import { ask, passwords, raw, statusOf, tokens } from './service.test-support.ts'

let tls: DevelopmentTls
const open: Listener[] = []

beforeAll(async () => {
  tls = await developmentTls()
})
afterEach(async () => {
  await Promise.all(open.splice(0).map((listener) => listener.close({ graceMs: 0 })))
})
afterAll(() => tls.close())

const reading = guard({ authenticate: tokens, authorize: scope('orders:read') })
const greet: Handler = (_request, principal) => json({ hello: principal.subject ?? 'nobody' })

async function start(options: Partial<ListenerOptions> = {}, handler: Handler | undefined = greet): Promise<Listener> {
  const listener = await serve({ tls, guard: reading, port: 0, ...options } as ListenerOptions, handler)
  open.push(listener)
  return listener
}

const as = (token: string): Record<string, string> => ({ authorization: `Bearer ${token}` })

interface H2Answer {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly text: string
}

function h2(session: ClientHttp2Session, headers: Record<string, string>, body?: string): Promise<H2Answer> {
  return new Promise((resolve, reject) => {
    const stream = session.request({ ':path': '/', ...headers }, { endStream: body === undefined })
    let answer: IncomingHttpHeaders = {}
    let text = ''
    stream.on('response', (fields) => (answer = fields))
    stream.setEncoding('utf8').on('data', (chunk: string) => (text += chunk))
    stream.on('close', () => resolve({ status: Number(answer[':status'] ?? 0), headers: answer, text }))
    stream.on('error', reject)
    if (body !== undefined) stream.end(body)
  })
}

function sessionTo(listener: Listener): ClientHttp2Session {
  return connectH2(listener.origin, secureClientOptions(tls.client, { host: 'localhost', alpn: ['h2'] }))
}

describe('an allowed request', () => {
  it('gets the answer of the handler, with the principal and the default fields', async () => {
    const { port } = await start()
    const { status, text, headers } = await ask(port, tls.client, { headers: as('alice') })
    expect(status).toBe(200)
    expect(JSON.parse(text)).toEqual({ hello: 'alice' })
    expect(headers).toMatchObject({
      'content-type': 'application/json',
      'cache-control': 'no-store',
      'x-content-type-options': 'nosniff',
      'content-length': '17',
    })
  })

  it('is answered over HTTP/2 too', async () => {
    const listener = await start()
    const session = sessionTo(listener)
    try {
      expect(await h2(session, as('alice'))).toMatchObject({ status: 200, text: '{"hello":"alice"}' })
      expect(await h2(session, as('nobody'))).toMatchObject({ status: 401 })
    } finally {
      session.destroy()
    }
  })

  it('reaches a handler written for Node, over both versions', async () => {
    const listener = await start(
      {},
      { requestListener: (request, response, principal) => void response.end(`${request.method} ${request.url} ${principal.subject}`) },
    )
    expect((await ask(listener.port, tls.client, { path: '/x?y=1', headers: as('alice') })).text).toBe('GET /x?y=1 alice')
    const session = sessionTo(listener)
    expect(await h2(session, as('alice'))).toMatchObject({ status: 200, text: 'GET / alice' })
    session.destroy()
  })

  it.each(['http/1.1', 'h2'] as const)('brings its content over %s', async (version) => {
    const listener = await start({}, async (request) =>
      json({ got: await request.text(), type: request.headers.get('x-kind'), isRequest: request instanceof Request }),
    )
    const expected = { got: 'ünïcode', type: 'k', isRequest: true }
    if (version === 'h2') {
      const session = sessionTo(listener)
      expect(JSON.parse((await h2(session, { ...as('alice'), ':method': 'POST', 'x-kind': 'k' }, 'ünïcode')).text)).toEqual(expected)
      session.destroy()
    } else {
      expect(
        JSON.parse(
          (await ask(listener.port, tls.client, { method: 'POST', headers: { ...as('alice'), 'x-kind': 'k' }, body: 'ünïcode' })).text,
        ),
      ).toEqual(expected)
    }
  })

  it.each(['http/1.1', 'h2'] as const)('may be answered with a Response, cookies and all, over %s', async (version) => {
    const listener = await start({}, () => {
      const response = new Response('text', { status: 201, headers: { 'cache-control': 'max-age=5' } })
      response.headers.append('set-cookie', 'a=1')
      response.headers.append('set-cookie', 'b=2')
      return response
    })
    const session = sessionTo(listener)
    const { status, headers, text } =
      version === 'h2' ? await h2(session, as('alice')) : await ask(listener.port, tls.client, { headers: as('alice') })
    session.destroy()
    expect({ status, text }).toEqual({ status: 201, text: 'text' })
    expect(headers).toMatchObject({ 'cache-control': 'max-age=5', 'set-cookie': ['a=1', 'b=2'], 'content-length': '4' })
  })

  it('may be a HEAD, which is judged and answered as a GET without content', async () => {
    const listener = await start()
    const head = await ask(listener.port, tls.client, { method: 'HEAD', headers: as('alice') })
    expect(head).toMatchObject({ status: 200, text: '', headers: { 'content-length': '17' } })
    const session = sessionTo(listener)
    expect(await h2(session, { ...as('alice'), ':method': 'HEAD' })).toMatchObject({ status: 200, text: '' })
    session.destroy()
  })

  it('has a URL on the origin of the listener, whatever the Host field says', async () => {
    const listener = await start({}, (request) => json({ url: request.url }))
    const { text } = await ask(listener.port, tls.client, { path: '/a?b=c', headers: { ...as('alice'), host: 'evil.example' } })
    expect(JSON.parse(text)).toEqual({ url: `${listener.origin}/a?b=c` })
  })
})

describe('a refused request', () => {
  const cases = [
    { because: 'nothing was presented', headers: {}, status: 401, challenge: 'Bearer realm="tests"' },
    { because: 'the token is unknown', headers: as('mallory'), status: 401, challenge: 'Bearer realm="tests", error="invalid_token"' },
    { because: 'the token is expired', headers: as('expired'), status: 401, challenge: 'Bearer realm="tests", error="invalid_token"' },
    { because: 'the scheme is another', headers: { authorization: 'Negotiate abc' }, status: 401, challenge: /^Bearer realm="tests"/ },
    {
      because: 'it cannot be read',
      headers: { authorization: 'Bearer a b' },
      status: 400,
      challenge: 'Bearer realm="tests", error="invalid_request"',
    },
    {
      because: 'a scope is missing',
      headers: as('bob'),
      status: 403,
      challenge: 'Bearer realm="tests", error="insufficient_scope", scope="orders:read"',
    },
    { because: 'an authority is down', headers: as('down'), status: 503, challenge: undefined, retryAfter: '7' },
    { because: 'there is too much to do', headers: as('busy'), status: 429, challenge: undefined, retryAfter: '5' },
    { because: 'a mechanism is broken', headers: as('broken'), status: 500, challenge: undefined },
  ]

  it.each(cases)('is answered $status if $because', async ({ headers, status, challenge, retryAfter }) => {
    const { port } = await start()
    const answer = await ask(port, tls.client, { headers })
    expect(answer.status).toBe(status)
    if (challenge instanceof RegExp) expect(answer.headers['www-authenticate']).toMatch(challenge)
    else expect(answer.headers['www-authenticate']).toBe(challenge)
    expect(answer.headers['retry-after']).toBe(retryAfter)
    expect(answer.headers['content-type']).toBe('application/problem+json')
    expect(JSON.parse(answer.text)).toMatchObject({ type: 'about:blank', status })
    expect(answer.text).not.toMatch(/ERR_|TypeError|inside|tests/)
  })

  it('is answered 400 for two Authorization fields, in the same words over HTTP/2', async () => {
    const listener = await start()
    const head = `GET / HTTP/1.1\r\nHost: localhost\r\n`
    expect(
      statusOf(await raw(listener.port, tls.client, `${head}Authorization: Bearer alice\r\nAuthorization: Bearer alice\r\n\r\n`)),
    ).toBe(400)
    expect(statusOf(await raw(listener.port, tls.client, `${head}Authorization: Bearer alice\r\naUTHORIZATION: Bearer bob\r\n\r\n`))).toBe(
      400,
    )
  })

  it('names every scheme on offer, each in a field of its own', async () => {
    const { port } = await start({ guard: guard({ authenticate: allOf(tokens, passwords) }) })
    const { rawHeaders, status } = await ask(port, tls.client)
    expect(status).toBe(401)
    expect(rawHeaders.filter((_, at) => rawHeaders[at - 1] === 'www-authenticate')).toEqual([
      'Bearer realm="tests"',
      'Basic realm="tests", charset="UTF-8"',
    ])
  })

  it('never reaches the handler, and makes one audit event', async () => {
    const events: AuditEvent[] = []
    let handled = 0
    const { port } = await start({ guard: guard({ authenticate: tokens, audit: (event) => events.push(event) }) }, () => {
      handled++
      return json({})
    })
    await ask(port, tls.client, { headers: as('expired') })
    await ask(port, tls.client, { headers: as('alice') })
    expect(handled).toBe(1)
    expect(events).toMatchObject([
      {
        type: 'decision',
        outcome: 'challenge',
        reason: 'invalid',
        code: 'ERR_TEST_EXPIRED',
        action: 'GET',
        resource: '/*',
        protocol: 'https',
        secure: true,
      },
      { type: 'decision', outcome: 'allow', principal: { subject: 'alice' } },
    ])
    expect(JSON.stringify(events)).not.toContain('"alice","expired')
  })

  it('does not live in the connection: a good request follows a bad one on the same socket', async () => {
    const { port } = await start()
    const one = (token: string): string => `GET / HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${token}\r\n\r\n`
    const text = await raw(
      port,
      tls.client,
      one('alice') + one('mallory') + one('alice') + one('alice') + `GET / HTTP/1.1\r\nHost: localhost\r\n\r\n`,
    )
    expect(text.match(/HTTP\/1\.1 \d+/g)).toEqual(['HTTP/1.1 200', 'HTTP/1.1 401', 'HTTP/1.1 200', 'HTTP/1.1 200', 'HTTP/1.1 401'])
  })
})

describe('a handler that fails', () => {
  it.each([
    [
      'throws',
      () => {
        throw new Error('inner secret')
      },
    ],
    ['rejects', () => Promise.reject(new Error('inner secret'))],
    ['returns nothing', () => undefined as never],
    ['returns a field that HTTP cannot carry', () => json({}, { headers: { 'x-bad': 'a\r\nset-cookie: b=1' } })],
  ] as const)('ends in 500 without a word of it if it %s', async (_, handler) => {
    const events: AuditEvent[] = []
    const { port } = await start(
      { guard: guard({ authenticate: everyone(), audit: (event) => events.push(event) }) as never },
      handler as Handler,
    )
    const { status, text, headers } = await ask(port, tls.client)
    expect(status).toBe(500)
    expect(text).not.toContain('inner secret')
    expect(headers['set-cookie']).toBeUndefined()
    expect(events.map((event) => ('code' in event ? event.code : undefined))).toContain('ERR_HTTP_HANDLER_FAILED')
  })
})

describe('a hook that fails', () => {
  const failures = [
    ['rejects', () => Promise.reject(new Error('inner'))],
    ['returns what is no answer', () => 'text' as never],
    ['returns a field that HTTP cannot carry', () => json({}, { headers: { location: 'a\nb' } })],
  ] as const
  it.each(failures)('ends in 500 and not the process if it %s', async (_, hook) => {
    for (const hooks of [{ before: [hook] }, { after: [hook] }]) {
      const { port } = await start({ hooks })
      expect((await ask(port, tls.client, { headers: as('alice') })).status).toBe(500)
      await open.splice(0)[0]?.close({ graceMs: 0 })
    }
  })
})

it.each(['http/1.1', 'h2'] as const)('an answer that is whole stands though its handler fails afterwards, over %s', async (version) => {
  const whole = 'x'.repeat(2_000_000)
  const listener = await start(
    {},
    {
      requestListener: async (_request, response) => {
        response.end(whole)
        throw new Error('afterwards')
      },
    },
  )
  const session = sessionTo(listener)
  const { text } = version === 'h2' ? await h2(session, as('alice')) : await ask(listener.port, tls.client, { headers: as('alice') })
  session.destroy()
  expect(text.length).toBe(whole.length)
})

describe('stopping', () => {
  it('lets a request finish and accepts no other', async () => {
    let release: () => void = () => undefined
    const listener = await start({}, () => new Promise((resolve) => (release = () => resolve(json({ late: true })))))
    const answer = ask(listener.port, tls.client, { headers: as('alice') })
    await new Promise((resolve) => setTimeout(resolve, 100))
    const closed = listener.close()
    await expect(ask(listener.port, tls.client)).rejects.toThrow(/ECONNREFUSED/)
    release()
    expect(await answer).toMatchObject({ status: 200, text: '{"late":true}' })
    await closed
  })

  it('cuts off what outlasts the grace', async () => {
    const listener = await start({}, () => new Promise(() => undefined))
    const answer = ask(listener.port, tls.client, { headers: as('alice') }).catch((error: unknown) => error)
    await new Promise((resolve) => setTimeout(resolve, 100))
    await listener.close({ graceMs: 50 })
    expect(await answer).toBeInstanceOf(Error)
  })
})

describe('construction', () => {
  it.each([
    [{ guard: undefined }, 'ERR_GUARD_MISSING'],
    [{ tls: undefined }, 'ERR_OPTION_MISSING'],
    [{ prot: 1 }, 'ERR_OPTION_UNKNOWN'],
    [{ limits: { maxContentBytes: 0 } }, 'ERR_OPTION_INVALID'],
    [{ limits: { maxContentBytes: Number.NaN } }, 'ERR_OPTION_INVALID'],
    [{ timeouts: { idleMs: Number.POSITIVE_INFINITY } }, 'ERR_OPTION_INVALID'],
    [{ timeouts: { requestMs: 0 } }, 'ERR_OPTION_INVALID'],
    [{ timeouts: { fieldsMs: 1e9 } }, 'ERR_OPTION_INVALID'],
    [{ carriers: { headers: { Authorization: 'bearer' } } }, 'ERR_OPTION_INVALID'],
    [{ origin: 'https://orders.example/' }, 'ERR_OPTION_INVALID'],
  ] as const)('refuses %o with %s', async (options, code) => {
    await expect(serve({ tls, guard: reading, port: 0, ...options } as never, greet)).rejects.toMatchObject({ code })
  })

  it('needs something to answer with', async () => {
    await expect(serve({ tls, guard: reading, port: 0 })).rejects.toMatchObject({ code: 'ERR_HTTP_ROUTE_INVALID' })
  })

  it('says so if the address is taken, and leaves nothing behind', async () => {
    const { port } = await start()
    const intervals = vi.spyOn(globalThis, 'setInterval')
    const swaps = vi.spyOn(TlsServer.prototype, 'setSecureContext')
    try {
      const events: AuditEvent[] = []
      const audited = guard({ authenticate: tokens, audit: (event) => events.push(event) })
      await expect(serve({ tls, guard: audited, port }, greet)).rejects.toMatchObject({ code: 'ERR_HTTP_LISTEN' })
      expect(intervals).not.toHaveBeenCalled()
      swaps.mockClear()
      await tls.reload()
      // The one of the listener that has the address.
      expect(swaps).toHaveBeenCalledTimes(1)
      await new Promise((resolve) => setImmediate(resolve))
      expect(events).toEqual([])
    } finally {
      intervals.mockRestore()
      swaps.mockRestore()
    }
  })
})
