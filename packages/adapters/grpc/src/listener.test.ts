import { once } from 'node:events'
import { connect as connectHttp2 } from 'node:http2'
import { connect as connectTls } from 'node:tls'
import { Client, Metadata, status, type Server } from '@grpc/grpc-js'
import { ReflectionService } from '@grpc/reflection'
import * as protoLoader from '@grpc/proto-loader'
import { HealthImplementation, service as healthService } from 'grpc-health-check'
import { manualClock } from '@portcullis/core/testing'
import { describe, expect, it } from 'vitest'
import { client, everyone, guard, principalOf, serve, service, StatusError, type ServeOptions, type Service } from './index.ts'
import { development as tls, guarding, heard, refusal, source, stub, textMethod, texts, token } from './text-service.test-support.ts'

type Setting = ReturnType<typeof guarding>

/** A service that answers who asks, under the guard, and under `writing` for `gather`. */
function answering(
  { guard: by, writing }: Setting,
  seen: { readonly metadata: Metadata[]; readonly over: string[] } = { metadata: [], over: [] },
): Service {
  return service({
    definition: texts,
    guard: by,
    guards: { gather: writing },
    handlers: {
      say(call, { subject }) {
        seen.metadata.push(call.metadata)
        if (call.request === 'fail') throw new Error('relation orders does not exist at 10.0.0.7')
        if (call.request === 'tell') throw new StatusError(status.NOT_FOUND, 'There is no such order.')
        return `${call.request}, ${subject}`
      },
      async gather(call, { subject }) {
        let all = ''
        for await (const text of call as AsyncIterable<string>) all += text
        return `${all} of ${subject}`
      },
      follow(call, { subject }) {
        call.write(`for ${subject}`)
        call.on('cancelled', () => seen.over.push('follow'))
        if (call.request === 'fail') throw new Error('relation orders does not exist at 10.0.0.7')
        if (call.request === 'end') call.end()
      },
      talk(call) {
        call.on('data', (text: string) => call.write(`${text} for ${principalOf(by, call).subject}`))
        call.on('cancelled', () => seen.over.push('talk'))
        call.on('end', () => call.end())
      },
    },
  })
}

async function setUp(options: Partial<ServeOptions> = {}) {
  const setting = guarding()
  const seen = { metadata: [] as Metadata[], over: [] as string[] }
  const listener = await serve({ tls: tls.server, guard: setting.guard, services: [answering(setting, seen)], ...options })
  const clients: Client[] = []
  const as = async (text: string | undefined) => {
    const made = await client(Client, {
      host: 'localhost',
      port: listener.port,
      tls: tls.client,
      clock: setting.clock,
      ...(text !== undefined && { source: source(text) }),
    })
    clients.push(made)
    return { ...stub(made), native: made }
  }
  const close = async (): Promise<void> => {
    for (const made of clients) made.close()
    await listener.close({ graceMs: 100 })
  }
  return { ...setting, seen, listener, as, [Symbol.asyncDispose]: close }
}

describe('the listener', () => {
  it('gives the handlers of all four kinds the principal', async () => {
    await using at = await setUp()
    const alice = await at.as(token('alice', 'write'))
    expect(await alice.say()).toBe('hello, alice')
    const gathering = alice.gather()
    gathering.call.write('a')
    gathering.call.end('b')
    expect(await gathering.answer).toBe('ab of alice')
    const following = alice.follow('end')
    expect((await following.ended).code).toBe(status.OK)
    expect(following.received).toEqual(['for alice'])
    const talking = alice.talk()
    talking.call.write('one')
    await expect.poll(() => talking.received).toEqual(['one for alice'])
    talking.call.end()
    expect((await talking.ended).code).toBe(status.OK)
  })

  it('lets the most specific level decide: method, service, listener', async () => {
    const open = guard({ authenticate: everyone() })
    const other = { ask: textMethod('/test.Other/ask', false, false), tell: textMethod('/test.Other/tell', false, false) }
    const ask = (made: Client, name: string): Promise<string> =>
      new Promise((resolve, reject) => {
        made.makeUnaryRequest(`/test.Other/${name}`, other.ask.requestSerialize, other.ask.responseDeserialize, 'x', (error, answer) =>
          error === null ? resolve(answer ?? '') : reject(error),
        )
      })
    await using at = await setUp({
      register(server: Server) {
        const answer = (_call: unknown, callback: (error: null, text: string) => void): void => callback(null, 'answered')
        server.addService(other, { ask: answer, tell: answer })
      },
      guards: { '/test.Other/ask': open },
    })
    const [nobody, alice] = [await at.as(undefined), await at.as(token('alice'))]
    expect(await refusal(alice.gather().answer)).toBe('PERMISSION_DENIED A scope is missing.')
    expect(await alice.say()).toBe('hello, alice')
    expect(await ask(nobody.native, 'ask')).toBe('answered')
    // Nothing but the listener covers it.
    expect(await refusal(ask(nobody.native, 'tell'))).toBe('UNAUTHENTICATED A credential is needed.')
    expect(await ask(alice.native, 'tell')).toBe('answered')
    expect(await refusal(ask(alice.native, 'nothing'))).toMatch(/^UNIMPLEMENTED/)
  })

  it('tells the peer nothing of what a handler throws, and everything of a StatusError', async () => {
    await using at = await setUp({
      register(server: Server) {
        const definition = { raw: textMethod('/test.Raw/raw', false, false) }
        server.addService(definition, {
          raw: (_call: unknown, callback: (error: Error) => void) => callback(new Error('relation orders at 10.0.0.7')),
        })
      },
    })
    const alice = await at.as(token('alice'))
    expect(await refusal(alice.say('fail'))).toBe('INTERNAL The service failed.')
    expect(await refusal(alice.say('tell'))).toBe('NOT_FOUND There is no such order.')
    expect(await alice.follow('fail').ended).toMatchObject({ code: status.INTERNAL, details: 'The service failed.' })
    const { requestSerialize, responseDeserialize } = texts.say
    const raw = new Promise((resolve, reject) => {
      alice.native.makeUnaryRequest('/test.Raw/raw', requestSerialize, responseDeserialize, 'x', (error, answer) =>
        error ? reject(error) : resolve(answer),
      )
    })
    expect(await refusal(raw)).toBe('INTERNAL The service failed.')
    await expect
      .poll(() => at.events.flatMap((event) => (event.type === 'warning' ? [event.code] : [])))
      .toEqual(Array(3).fill('ERR_GRPC_HANDLER'))
  })

  it('takes the credential out of the metadata that handlers see', async () => {
    await using at = await setUp({ carriers: { 'x-access-token': 'bearer' } })
    const nobody = await at.as(undefined)
    const metadata = new Metadata()
    metadata.set('x-access-token', token('alice'))
    metadata.set('x-tenant', 'acme')
    expect(await nobody.say('hello', metadata)).toBe('hello, alice')
    const alice = await at.as(token('alice'))
    await alice.say()
    expect(at.seen.metadata.map((one) => JSON.stringify(one)).join()).not.toContain('alice')
    expect(at.seen.metadata[0]?.get('x-tenant')).toEqual(['acme'])
  })

  it.each([
    ['empty', ''],
    ['two in one', `${token('alice')},${token('bob')}`],
  ])('refuses a carrier that is %s', async (_, value) => {
    await using at = await setUp({ carriers: { 'x-access-token': 'bearer' } })
    const metadata = new Metadata()
    metadata.set('x-access-token', value)
    expect(await refusal((await at.as(undefined)).say('hello', metadata))).toBe('UNAUTHENTICATED The credential cannot be read.')
  })

  it('takes no second value of a key for a part of the first', async () => {
    await using at = await setUp({ carriers: { 'x-key': 'apiKey' } })
    const say = async (value: string): Promise<string> => {
      const metadata = new Metadata()
      metadata.set('x-key', value)
      return refusal((await at.as(undefined)).say('hello', metadata))
    }
    expect(await say('one')).toBe('UNAUTHENTICATED A credential is needed.')
    expect(await say('one, two')).toBe('UNAUTHENTICATED The credential cannot be read.')
  })

  it('judges every call of a connection by what that call presents', async () => {
    await using at = await setUp()
    const nobody = await at.as(undefined)
    const say = (text: string): Promise<string> => {
      const metadata = new Metadata()
      metadata.set('authorization', `Bearer ${text}`)
      return nobody.say('hello', metadata)
    }
    const subjects = Array.from({ length: 40 }, (_, index) => `s${'abcdefghij'.charAt(index % 10)}${'abcdefghij'.charAt(index / 10)}`)
    for (const subject of [...subjects, ...subjects]) expect(await say(token(subject))).toBe(`hello, ${subject}`)
    expect(await refusal(say('nonsense'))).toMatch(/^UNAUTHENTICATED/)
    expect(await refusal(nobody.say())).toMatch(/^UNAUTHENTICATED/)
    at.revoke('saa')
    expect(await refusal(say(token('saa')))).toMatch(/^UNAUTHENTICATED/)
  })

  it('delivers nothing between the expiry and the timer that ends the stream', async () => {
    const setting = guarding()
    const definition = { follow: textMethod('/test.Clock/follow', false, true) }
    let push = (_text: string): unknown => undefined
    const news = service({
      definition,
      guard: setting.guard,
      handlers: {
        follow(call) {
          push = (text) => call.write(text)
          call.write('first')
        },
      },
    })
    await using at = await setUp({ guard: setting.guard, services: [news] })
    const alice = await at.as(token('alice', '', new Date(setting.clock.now() + 60_000)))
    const { requestSerialize, responseDeserialize } = definition.follow
    const { received, ended } = heard(
      alice.native.makeServerStreamRequest(definition.follow.path, requestSerialize, responseDeserialize, 'x'),
    )
    await expect.poll(() => received).toEqual(['first'])
    // The clock is set; no timer has run.
    setting.clock.step(setting.clock.now() + 60_000)
    push('late')
    expect((await ended).code).toBe(status.UNAUTHENTICATED)
    expect(received).toEqual(['first'])
  })

  it('puts the challenge into the trailers, and no internals anywhere', async () => {
    await using at = await setUp()
    const say = async (text: string | undefined): Promise<unknown> =>
      (await at.as(text)).say().catch((error: { metadata: Metadata }) => error.metadata.get('www-authenticate'))
    expect(await say(undefined)).toEqual(['Bearer'])
    expect(await say('nonsense')).toEqual(['Bearer error="invalid_token"'])
  })

  it.each([
    ['follow', (one: ReturnType<typeof stub>) => one.follow()],
    ['talk', (one: ReturnType<typeof stub>) => one.talk()],
  ])('ends %s at expiry with UNAUTHENTICATED, though the peer is silent, and tells the handler at once', async (name, open) => {
    await using at = await setUp()
    const live = open(await at.as(token('alice', '', new Date(at.clock.now() + 60_000))))
    await expect.poll(() => at.clock.pending).toBe(1)
    at.clock.advance(59_999)
    expect(at.seen.over).toEqual([])
    at.clock.advance(1)
    // At once: what is left waits for the peer to take the status.
    expect(at.clock.pending).toBe(1)
    expect(at.seen.over).toEqual([name])
    const final = await live.ended
    expect(final).toMatchObject({ code: status.UNAUTHENTICATED, details: 'The credential has expired.' })
    expect(final.metadata.get('www-authenticate')).toEqual(['Bearer error="invalid_token"'])
    await expect.poll(() => at.clock.pending).toBe(0)
    expect(at.seen.over).toEqual([name])
    await expect.poll(() => at.events.map(({ type }) => type)).toContain('sessionWarning')
  })

  it('ends a stream of requests at expiry, before they are all there', async () => {
    await using at = await setUp()
    const { call, answer } = (await at.as(token('alice', 'write', new Date(at.clock.now() + 60_000)))).gather()
    call.write('a')
    await expect.poll(() => at.clock.pending).toBe(1)
    at.clock.advance(60_000)
    expect(await refusal(answer)).toBe('UNAUTHENTICATED The credential has expired.')
  })

  it('delivers nothing after a revocation, either way', async () => {
    await using at = await setUp()
    const { call, received, ended } = (await at.as(token('alice'))).talk()
    call.write('one')
    await expect.poll(() => received).toEqual(['one for alice'])
    at.revoke('alice')
    call.write('two')
    expect(await ended).toMatchObject({ code: status.UNAUTHENTICATED, details: 'The credential was revoked.' })
    expect(received).toEqual(['one for alice'])
  })

  it('holds no timer and no session of a stream that has ended by itself', async () => {
    await using at = await setUp()
    const alice = await at.as(token('alice'))
    await alice.follow('end').ended
    const cancelled = alice.follow()
    await expect.poll(() => cancelled.received).toHaveLength(1)
    cancelled.call.cancel()
    await expect.poll(() => at.clock.pending).toBe(0)
    await expect.poll(() => at.seen.over).toContain('follow')
  })

  it('leaves a stream that is open to everyone alone', async () => {
    const clock = manualClock()
    const open = guard({ authenticate: everyone(), clock })
    const definition = { follow: textMethod('/test.Open/follow', false, true) }
    await using at = await setUp({
      maxSessionMs: 1_000,
      services: [service({ definition, guard: open, handlers: { follow: (call, principal) => void call.write(principal.kind) } })],
    })
    const { requestSerialize, responseDeserialize } = definition.follow
    const { received, call } = heard(
      (await at.as(undefined)).native.makeServerStreamRequest('/test.Open/follow', requestSerialize, responseDeserialize, 'x'),
    )
    await expect.poll(() => received).toEqual(['anonymous'])
    clock.advance(86_400_000)
    await new Promise((resolve) => setTimeout(resolve, 20))
    expect(call.destroyed).toBe(false)
    call.cancel()
  })

  it('puts health and reflection under the policy', async () => {
    const open = guard({ authenticate: everyone() })
    const proto = protoLoader.fromJSON({
      nested: {
        demo: {
          nested: { Empty: { fields: {} }, Demo: { methods: { Run: { requestType: 'Empty', responseType: 'Empty', comment: '' } } } },
        },
      },
    })
    await using at = await setUp({
      register(server: Server) {
        new HealthImplementation({ '': 'SERVING' }).addToServer(server)
        new ReflectionService(proto).addToServer(server)
      },
      guards: { 'grpc.health.v1.Health': open },
    })
    const nobody = await at.as(undefined)
    const check = healthService['Check']
    if (check === undefined) throw new Error('The health service has no Check.')
    const health = new Promise((resolve, reject) => {
      nobody.native.makeUnaryRequest(
        '/grpc.health.v1.Health/Check',
        check.requestSerialize,
        check.responseDeserialize,
        { service: '' },
        (error, answer) => (error === null ? resolve(answer) : reject(error)),
      )
    })
    expect(await health).toMatchObject({ status: 'SERVING' })
    const { requestSerialize, responseDeserialize } = texts.talk
    const reflect = (made: Client) => {
      const stream = heard(
        made.makeBidiStreamRequest('/grpc.reflection.v1.ServerReflection/ServerReflectionInfo', requestSerialize, responseDeserialize),
      )
      // Field 7, list_services, of ServerReflectionRequest.
      stream.call.end('\u003a\u0000')
      return stream
    }
    expect((await reflect(nobody.native).ended).code).toBe(status.UNAUTHENTICATED)
    const listed = reflect((await at.as(token('alice'))).native)
    expect((await listed.ended).code).toBe(status.OK)
    expect(listed.received.join()).toContain('demo.Demo')
  })

  it('speaks to nobody who does not offer HTTP/2, and reports it', async () => {
    await using at = await setUp()
    const socket = connectTls({ host: '127.0.0.1', port: at.listener.port, ca: tls.authority, servername: 'localhost' }).on(
      'error',
      () => undefined,
    )
    await once(socket.resume(), 'close')
    await expect.poll(() => at.events).toMatchObject([{ type: 'handshakeRefused', code: 'ERR_GRPC_PROTOCOL' }])
  })

  it('refuses what is no gRPC, and a header beyond every size', async () => {
    await using at = await setUp()
    const session = connectHttp2(at.listener.origin, { ca: tls.authority })
    const plain = session.request({ ':path': '/test.Texts/say', ':method': 'POST' })
    const [headers] = (await once(plain.end(), 'response')) as [{ readonly ':status': number }]
    expect(headers[':status']).toBe(415)
    session.close()
    expect(await refusal((await at.as('a'.repeat(100_000))).say())).not.toBe('answered')
  })

  it('cuts a peer that does not take the last status of its stream', async () => {
    const setting = guarding()
    const definition = { flood: textMethod('/test.Flood/flood', false, true) }
    const flooding = service({
      definition,
      guard: setting.guard,
      handlers: { flood: (call) => void call.write('x'.repeat(1024 * 1024)) },
    })
    await using listener = await serve({ tls: tls.server, guard: setting.guard, services: [flooding] })
    const session = connectHttp2(listener.origin, { ca: tls.authority })
    const stream = session.request({
      ':path': definition.flood.path,
      ':method': 'POST',
      'content-type': 'application/grpc',
      authorization: `Bearer ${token('alice', '', new Date(setting.clock.now() + 60_000))}`,
    })
    // One message of one byte; what comes back is not read.
    stream.on('error', () => undefined).end(Buffer.from([0, 0, 0, 0, 1, 120]))
    await expect.poll(() => setting.clock.pending).toBe(1)
    const closed = once(session, 'close')
    setting.clock.advance(60_000)
    setting.clock.advance(10_000)
    await closed
  })

  it('ends with UNAVAILABLE what is open when it stops', async () => {
    const at = await setUp()
    const following = (await at.as(token('alice'))).follow()
    await expect.poll(() => following.received).toHaveLength(1)
    await at.listener.close()
    expect(await following.ended).toMatchObject({ code: status.UNAVAILABLE, details: 'The service stops.' })
  })

  it('refuses more connections than it may hold', async () => {
    await using at = await setUp({ maxConnections: 1 })
    const [first, second] = [await at.as(token('alice')), await at.as(token('alice'))]
    await first.say()
    expect(await refusal(second.say('hello', undefined, { deadline: Date.now() + 3_000 }))).toMatch(/^UNAVAILABLE/)
  })

  it('is not opened without a guard, with misspelt options, or with guards for what is not there', async () => {
    const { guard: by } = guarding()
    const base = { tls: tls.server, guard: by }
    for (const [options, code] of [
      [{ tls: tls.server }, 'ERR_GUARD_MISSING'],
      [{ ...base, guards: { 'test.Missing': by } }, 'ERR_GRPC_METHOD_UNKNOWN'],
      [{ ...base, guards: { 'test.Missing': undefined } }, 'ERR_GUARD_MISSING'],
      [{ ...base, maxConnection: 1 }, 'ERR_OPTION_UNKNOWN'],
      [{ ...base, maxConnections: 0 }, 'ERR_OPTION_INVALID'],
      [{ ...base, maxConcurrentStreams: Number.NaN }, 'ERR_OPTION_INVALID'],
      [{ ...base, maxMessageBytes: 0 }, 'ERR_OPTION_INVALID'],
      [{ ...base, idleTimeoutMs: -1 }, 'ERR_OPTION_INVALID'],
      [{ ...base, graceMs: 60_001 }, 'ERR_OPTION_INVALID'],
      [{ ...base, host: '' }, 'ERR_OPTION_INVALID'],
      [{ ...base, port: 65_536 }, 'ERR_OPTION_INVALID'],
      [{ ...base, origin: 'orders' }, 'ERR_OPTION_INVALID'],
      [{ ...base, carriers: { authorization: 'bearer' } }, 'ERR_OPTION_INVALID'],
      [{ ...base, carriers: { 'x-key': 'basic' } }, 'ERR_OPTION_INVALID'],
      [{ ...base, tls: { side: 'server' } }, 'ERR_OPTION_INVALID'],
    ] as const) {
      await expect(serve(options as never), JSON.stringify(Object.keys(options))).rejects.toMatchObject({ code })
    }
    const taken = await serve(base)
    // What the bundle keeps up to date: nothing of a listener that never was.
    const { swapped } = Reflect.get(tls.server, Symbol.for('portcullis.tls.state')) as { readonly swapped: ReadonlySet<unknown> }
    const before = swapped.size
    await expect(serve({ ...base, port: taken.port })).rejects.toMatchObject({ code: 'ERR_GRPC_BIND' })
    expect(swapped.size).toBe(before)
    await taken.close()
  })

  it('makes no service with a method that nobody guards or answers', () => {
    const { guard: by } = guarding()
    const handlers = { say: () => '', gather: () => '', follow: () => undefined, talk: () => undefined }
    for (const [options, code] of [
      [{ definition: texts, handlers }, 'ERR_GUARD_MISSING'],
      [{ definition: texts, guard: by, handlers: { ...handlers, say: undefined } }, 'ERR_OPTION_MISSING'],
      [{ definition: texts, guard: by, guards: { shout: by }, handlers }, 'ERR_GRPC_METHOD_UNKNOWN'],
      [{ definition: texts, guard: by, guards: { say: undefined }, handlers }, 'ERR_GUARD_MISSING'],
    ] as const) {
      expect(() => service(options as never)).toThrow(expect.objectContaining({ code }))
    }
  })

  it('gives no principal by a guard that has not allowed the call', async () => {
    const { guard: by } = guarding()
    expect(() => principalOf(by, { metadata: new Metadata() })).toThrow(expect.objectContaining({ code: 'ERR_GUARD_NOT_RUN' }))
  })
})
