import { connect as connectH2 } from 'node:http2'
import { request as nodeRequest } from 'node:https'
import { Readable } from 'node:stream'
import { authenticator, guard, notMine, Revocation, scope, vouchForPrincipal, type AuditEvent } from '@portcullis/core'
import { manualClock } from '@portcullis/core/testing'
import { secureClientOptions } from '@portcullis/tls'
import { developmentTls, type DevelopmentTls } from '@portcullis/tls/development'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { serve, type Handler, type Listener } from './index.ts'
import { raw } from './service.test-support.ts'

let tls: DevelopmentTls
const open: Listener[] = []

beforeAll(async () => {
  tls = await developmentTls()
})
afterEach(() => Promise.all(open.splice(0).map((listener) => listener.close({ graceMs: 0 }))))
afterAll(() => tls.close())

interface Live {
  readonly text: () => string
  readonly over: Promise<'complete' | 'cut'>
}

/** Opens a stream and resolves when its first bytes are there. */
function live(listener: Listener, version: 'http/1.1' | 'h2'): Promise<Live> {
  let text = ''
  return new Promise((resolve, reject) => {
    if (version === 'h2') {
      const session = connectH2(listener.origin, secureClientOptions(tls.client, { host: 'localhost', alpn: ['h2'] }))
      const stream = session.request({ ':path': '/', authorization: 'Bearer x' })
      let ended = false
      const over = new Promise<'complete' | 'cut'>((done) => {
        stream.on('end', () => (ended = true))
        stream.on('error', () => undefined)
        stream.on('close', () => {
          session.destroy()
          done(ended && stream.rstCode === 0 ? 'complete' : 'cut')
        })
      })
      stream.on('data', (data: Buffer) => {
        text += data.toString()
        resolve({ text: () => text, over })
      })
    } else {
      nodeRequest(
        {
          ...secureClientOptions(tls.client, { host: 'localhost' }),
          port: listener.port,
          headers: { authorization: 'Bearer x' },
          agent: false,
        },
        (incoming) => {
          const over = new Promise<'complete' | 'cut'>((done) =>
            incoming.on('error', () => undefined).on('close', () => done(incoming.complete ? 'complete' : 'cut')),
          )
          incoming.on('data', (data: Buffer) => {
            text += data.toString()
            resolve({ text: () => text, over })
          })
        },
      )
        .on('error', reject)
        .end()
    }
  })
}

/** Emits a number whenever it is told to. */
function feed(): { readonly body: Readable; readonly push: (text: string) => void; readonly closed: () => boolean } {
  const body = new Readable({ read: () => undefined })
  return { body, push: (text) => void body.push(text), closed: () => body.destroyed }
}

describe.each(['http/1.1', 'h2'] as const)('an answer that takes its time, over %s', (version) => {
  const forms = [
    [
      'fetch form',
      (body: Readable): Handler =>
        () => ({ headers: { 'content-type': 'text/event-stream' }, body }),
    ],
    [
      'Response',
      (body: Readable): Handler =>
        () =>
          new Response(Readable.toWeb(body) as ReadableStream),
    ],
  ] as const

  it.each(forms)('arrives piece by piece (%s)', async (_, handler) => {
    const events = feed()
    events.push('1')
    const listener = await serve({ tls, guard: guard({ authenticate: someone(undefined) }), port: 0 }, handler(events.body))
    open.push(listener)
    const stream = await live(listener, version)
    events.push('2')
    events.body.push(null)
    expect(await stream.over).toBe('complete')
    expect(stream.text()).toBe('12')
  })

  it.each(forms)('ends when the principal expires, though nobody sends anything (%s)', async (_, handler) => {
    const clock = manualClock()
    const audit: AuditEvent[] = []
    const events = feed()
    events.push('1')
    const listener = await serve(
      {
        tls,
        guard: guard({ authenticate: someone(() => new Date(clock.now() + 60_000)), clock, audit: (event) => audit.push(event) }),
        port: 0,
      },
      handler(events.body),
    )
    open.push(listener)
    const stream = await live(listener, version)
    clock.advance(59_000)
    events.push('2')
    await expect.poll(stream.text).toBe('12')
    clock.advance(1_500)
    expect(await stream.over).toBe('cut')
    await expect.poll(events.closed).toBe(true)
    expect(audit.filter((event) => event.type === 'sessionEnded')).toMatchObject([{ message: 'expired' }])
  })

  it('has one clock and one end, also where the handler took its time before', async () => {
    const revocation = new Revocation()
    const audit: AuditEvent[] = []
    const policy = guard({ authenticate: someone(undefined, revocation), audit: (event) => audit.push(event) })
    const events = feed()
    events.push('1')
    const listener = await serve({ tls, guard: policy, port: 0 }, async () => {
      await new Promise((resolve) => setTimeout(resolve, 1_100))
      return { body: events.body }
    })
    open.push(listener)
    const stream = await live(listener, version)
    revocation.revoke('test')
    expect(await stream.over).toBe('cut')
    await new Promise((resolve) => setImmediate(resolve))
    expect(audit.filter((event) => event.type === 'sessionEnded')).toHaveLength(1)
  })

  it('ends when the principal is revoked', async () => {
    const revocation = new Revocation()
    const events = feed()
    events.push('1')
    const listener = await serve({ tls, guard: guard({ authenticate: someone(undefined, revocation) }), port: 0 }, () => ({
      body: events.body,
    }))
    open.push(listener)
    const stream = await live(listener, version)
    revocation.revoke('test')
    expect(await stream.over).toBe('cut')
  })

  it('ends when the policy changes against it', async () => {
    const events = feed()
    events.push('1')
    const policy = guard({ authenticate: someone(undefined), authorize: scope('a') })
    const listener = await serve({ tls, guard: policy, port: 0 }, () => ({ body: events.body }))
    open.push(listener)
    const stream = await live(listener, version)
    policy.change({ authorize: scope('b') })
    expect(await stream.over).toBe('cut')
  })

  it('ends for a handler written for Node too', async () => {
    const clock = manualClock()
    const listener = await serve(
      { tls, guard: guard({ authenticate: someone(() => new Date(clock.now() + 60_000)), clock }), port: 0 },
      { requestListener: (_request, response) => void response.write('1') },
    )
    open.push(listener)
    const stream = await live(listener, version)
    clock.advance(61_000)
    expect(await stream.over).toBe('cut')
  })

  it('ends with the listener, and its source is told', async () => {
    const events = feed()
    events.push('1')
    const listener = await serve({ tls, guard: guard({ authenticate: someone(undefined) }), port: 0 }, () => ({ body: events.body }))
    const stream = await live(listener, version)
    await listener.close({ graceMs: 20 })
    expect(await stream.over).toBe('cut')
    await expect.poll(events.closed).toBe(true)
  })

  it('stops its source when the peer has gone', async () => {
    const events = feed()
    events.push('1')
    const listener = await serve({ tls, guard: guard({ authenticate: someone(undefined) }), port: 0 }, () => ({ body: events.body }))
    open.push(listener)
    const session = connectH2(listener.origin, secureClientOptions(tls.client, { host: 'localhost', alpn: ['h2'] }))
    const stream = session.request({ ':path': '/', authorization: 'Bearer x' })
    await new Promise((resolve) => stream.once('data', resolve))
    stream.on('error', () => undefined)
    session.destroy()
    await expect.poll(events.closed).toBe(true)
  })
})

it('an answer without end is one for a HEAD too: the next request of the connection is answered', async () => {
  const events = feed()
  events.push('1')
  const listener = await serve({ tls, guard: guard({ authenticate: someone(undefined) }), port: 0 }, (request) =>
    request.method === 'HEAD' ? { body: events.body } : { body: 'next' },
  )
  open.push(listener)
  const one = (method: string): string => `${method} / HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer x\r\n\r\n`
  expect(await raw(listener.port, tls.client, one('HEAD') + one('GET'))).toMatch(/^HTTP\/1\.1 200 [^]*HTTP\/1\.1 200 [^]*next$/)
  expect(events.closed()).toBe(true)
})

function someone(expiresAt: (() => Date) | undefined, revocation?: Revocation) {
  return authenticator('someone', (request) =>
    request.credentials.length === 0
      ? notMine
      : vouchForPrincipal({
          issuer: 'i',
          subject: 's',
          scopes: ['a'],
          ...(expiresAt && { expiresAt: expiresAt() }),
          ...(revocation && { revocations: [revocation] }),
        }),
  )
}
