import { guard, type AuditEvent } from '@portcullis/core'
import { afterEach, describe, expect, it } from 'vitest'
import { json, serve, tlsTerminatedBy, type Listener } from './index.ts'
import { plaintextChannel } from './danger.ts'
import { tokens } from './service.test-support.ts'

const named = { proxies: ['10.0.0.1', '10.1.0.0/16'], header: 'forwarded' } as const
const lists = { proxies: ['10.0.0.1', '10.1.0.0/16'], header: 'x-forwarded' } as const

describe('forwarded facts', () => {
  it.each([
    [named, '10.0.0.1', ['Forwarded', 'for=192.0.2.1;proto=https'], { secure: true, remoteAddress: '192.0.2.1' }],
    [named, '10.0.0.1', ['Forwarded', 'for="[2001:db8::1]:99";Proto=HTTPS'], { secure: true, remoteAddress: '2001:db8::1' }],
    // The far left is whatever the far end wrote.
    [named, '10.0.0.1', ['Forwarded', 'for=1.2.3.4;proto=https, for=192.0.2.1;proto=http'], { secure: false, remoteAddress: '192.0.2.1' }],
    [
      named,
      '10.0.0.1',
      ['Forwarded', 'for=192.0.2.1;proto=https', 'Forwarded', 'for=10.1.2.3;proto=http'],
      { secure: true, remoteAddress: '192.0.2.1' },
    ],
    [named, '10.0.0.1', [], { secure: false, remoteAddress: undefined }],
    [named, '10.0.0.1', ['Forwarded', 'for=unknown;proto=https'], { secure: true, remoteAddress: undefined }],
    [named, '10.0.0.1', ['X-Forwarded-Proto', 'https'], { secure: false, remoteAddress: undefined }],
    [named, '192.0.2.9', ['Forwarded', 'for=1.2.3.4;proto=https'], { secure: false, remoteAddress: '192.0.2.9' }],
    [
      lists,
      '10.0.0.1',
      ['X-Forwarded-For', '1.2.3.4, 192.0.2.1, 10.1.2.3', 'X-Forwarded-Proto', 'https'],
      { secure: true, remoteAddress: '192.0.2.1' },
    ],
    [lists, '10.0.0.1', ['X-Forwarded-Proto', 'https, http'], { secure: false, remoteAddress: undefined }],
    [lists, '10.2.0.1', ['X-Forwarded-For', '1.2.3.4', 'X-Forwarded-Proto', 'https'], { secure: false, remoteAddress: '10.2.0.1' }],
  ] as const)('%o of %s with %o', (options, peer, rawHeaders, facts) => {
    expect(tlsTerminatedBy(options).facts(peer, [...rawHeaders])).toEqual(facts)
  })

  it('of others are taken away, and only the named header is left from a proxy', () => {
    const fields = ['Forwarded', 'a', 'X-Forwarded-For', 'b', 'Host', 'h', 'X-Real-IP', 'c', 'X-Forwarded-Client-Cert', 'd']
    const foreign = [...fields]
    tlsTerminatedBy(named).facts('192.0.2.9', foreign)
    expect(foreign).toEqual(['Host', 'h'])
    const proxied = [...fields]
    tlsTerminatedBy(named).facts('10.0.0.1', proxied)
    expect(proxied).toEqual(['Forwarded', 'a', 'Host', 'h'])
    const listed = [...fields, 'X-Forwarded-Host', 'e', 'X-Forwarded-Proto', 'f']
    tlsTerminatedBy(lists).facts('10.0.0.1', listed)
    expect(listed).toEqual(['X-Forwarded-For', 'b', 'Host', 'h', 'X-Forwarded-Proto', 'f'])
  })

  it.each([
    [{ proxies: [], header: 'forwarded' }],
    [{ proxies: ['proxy.example'], header: 'forwarded' }],
    [{ proxies: ['0.0.0.0/0'], header: 'forwarded' }],
    [{ proxies: ['10.0.0.1'], header: 'x-real-ip' }],
    [{ proxies: ['10.0.0.1'] }],
  ])('are not taken by %o', (options) => {
    expect(() => tlsTerminatedBy(options as never)).toThrow(expect.objectContaining({ family: 'configuration' }))
  })
})

describe('a listener behind a proxy', () => {
  let listener: Listener | undefined
  afterEach(() => listener?.close({ graceMs: 0 }))

  it('answers what came over https, and nothing else', async () => {
    const events: AuditEvent[] = []
    const audited = guard({ authenticate: tokens, audit: (event) => events.push(event) })
    listener = await serve(
      {
        tls: tlsTerminatedBy({ proxies: ['127.0.0.1'], header: 'x-forwarded' }),
        guard: audited,
        port: 0,
        origin: 'https://orders.example',
      },
      (request) => json({ url: request.url, by: request.headers.get('x-real-ip') }),
    )
    const at = `http://127.0.0.1:${listener.port}/x`
    const authorization = 'Bearer alice'
    expect((await fetch(at, { headers: { authorization } })).status).toBe(403)
    expect((await fetch(at, { headers: { authorization, 'x-forwarded-proto': 'http' } })).status).toBe(403)
    const answer = await fetch(at, {
      headers: { authorization, 'x-forwarded-proto': 'https', 'x-forwarded-for': '192.0.2.1', 'x-real-ip': '6.6.6.6' },
    })
    expect(await answer.json()).toEqual({ url: 'https://orders.example/x', by: null })
    await new Promise((resolve) => setImmediate(resolve))
    expect(events).toMatchObject([
      { code: 'ERR_HTTP_CHANNEL_INSECURE' },
      { code: 'ERR_HTTP_CHANNEL_INSECURE' },
      { outcome: 'allow', secure: true, remoteAddress: '192.0.2.1' },
    ])
  })

  it('hides what is not believed from handlers for Node too', async () => {
    listener = await serve(
      { tls: tlsTerminatedBy({ proxies: ['127.0.0.1'], header: 'x-forwarded' }), guard: guard({ authenticate: tokens }), port: 0 },
      { requestListener: (request, response) => void response.end(JSON.stringify(request.headers)) },
    )
    const headers = { authorization: 'Bearer alice', 'x-forwarded-proto': 'https', 'x-real-ip': '6.6.6.6', forwarded: 'for=6.6.6.6' }
    const seen = (await (await fetch(`http://127.0.0.1:${listener.port}/`, { headers })).json()) as object
    expect(seen).toMatchObject({ 'x-forwarded-proto': 'https' })
    expect(Object.keys(seen)).not.toEqual(expect.arrayContaining(['x-real-ip']))
    expect(Object.keys(seen)).not.toEqual(expect.arrayContaining(['forwarded']))
  })

  it('is something else than one in clear, which only a symbol opens', async () => {
    await expect(serve({ tls: 'none' as never, guard: guard({ authenticate: tokens }), port: 0 }, () => json({}))).rejects.toMatchObject({
      family: 'configuration',
    })
    listener = await serve(
      { tls: plaintextChannel, guard: guard({ authenticate: tokens }), port: 0 },
      (_request, _principal, { channel }) => json({ secure: channel.secure }),
    )
    expect(listener.origin).toMatch(/^http:/)
    expect(
      await (await fetch(listener.origin, { headers: { authorization: 'Bearer alice', 'x-forwarded-proto': 'https' } })).json(),
    ).toEqual({ secure: false })
  })
})
