import { once } from 'node:events'
import { createServer as createHttp2Server } from 'node:http2'
import type { AddressInfo } from 'node:net'
import { Client, InterceptingCall, Metadata, Server, ServerCredentials, status, type Interceptor, type ServiceError } from '@grpc/grpc-js'
import {
  cached,
  secret,
  UnavailableError,
  vouchForPrincipal,
  type AnySource,
  type Credential,
  type CredentialSource,
  type Principal,
} from '@portcullis/core'
import { testPki } from '@portcullis/testkit'
import { tlsBundle } from '@portcullis/tls'
import { developmentTls } from '@portcullis/tls/development'
import { describe, expect, it, onTestFinished } from 'vitest'
import { client, onBehalfOf, serve, service, type ClientOptions } from './index.ts'
import { bearer, development as tls, guarding, refusal, source, stub, texts, token } from './text-service.test-support.ts'

const pki = await testPki()
const pem = Buffer.from(pki.servers.sound.pem)
const trusting = await tlsBundle({ side: 'client', trust: { pem: pki.authorities.sound } })

/** A bare server of the library, which answers what it is told to and remembers what it was asked. */
async function bareServer(
  answer: (authorization: string) => { readonly code: status; readonly challenge?: string; readonly afterMetadata?: boolean } | undefined,
) {
  const asked: string[] = []
  const deadlines: number[] = []
  const server = new Server()
  const judge = (call: { readonly metadata: Metadata; getDeadline(): number | Date; sendMetadata(metadata: Metadata): void }) => {
    const authorization = String(call.metadata.get('authorization')[0] ?? '')
    asked.push(authorization)
    deadlines.push(Number(call.getDeadline()))
    const refused = answer(authorization)
    if (refused === undefined) return undefined
    if (refused.afterMetadata === true) call.sendMetadata(new Metadata())
    const metadata = new Metadata()
    if (refused.challenge !== undefined) metadata.set('www-authenticate', refused.challenge)
    return { code: refused.code, details: 'no', metadata }
  }
  server.addService(texts, {
    say: (call: Parameters<typeof judge>[0] & { request: string }, callback: (error: unknown, text?: string) => void) =>
      callback(judge(call) ?? null, `${call.request}!`),
    gather: (call: Parameters<typeof judge>[0], callback: (error: unknown, text?: string) => void) => callback(judge(call) ?? null, 'all'),
    follow(call: Parameters<typeof judge>[0] & { write(text: string): void; end(): void; emit(event: 'error', error: unknown): void }) {
      const error = judge(call)
      if (error !== undefined) return call.emit('error', error)
      for (const text of ['one', 'two']) call.write(text)
      return call.end()
    },
    talk: (call: { end(): void }) => call.end(),
  } as never)
  const credentials = ServerCredentials.createSsl(null, [{ private_key: pem, cert_chain: pem }])
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync('127.0.0.1:0', credentials, (error, bound) => (error === null ? resolve(bound) : reject(error)))
  })
  onTestFinished(() => server.forceShutdown())
  return { port, asked, deadlines }
}

async function make(port: number, credentials: AnySource | undefined, options: Partial<ClientOptions> = {}) {
  const made = await client(Client, {
    host: 'localhost',
    port,
    tls: trusting,
    ...(credentials !== undefined && { source: credentials }),
    ...options,
  })
  onTestFinished(() => made.close())
  return stub(made)
}

const first = 'Bearer first'
const refuseFirst = (authorization: string) => (authorization === first ? { code: status.UNAUTHENTICATED } : undefined)
const twoTokens: CredentialSource = ({ refused }) => ({ credential: bearer(refused === undefined ? 'first' : 'second') })

describe('the client', () => {
  it('repeats a call with another credential, once, with its message', async () => {
    const { port, asked } = await bareServer(refuseFirst)
    const call = await make(port, twoTokens)
    expect(await call.say('hello')).toBe('hello!')
    expect(asked).toEqual([first, 'Bearer second'])
  })

  it('repeats a stream of answers before its first message', async () => {
    const { port, asked } = await bareServer(refuseFirst)
    const following = (await make(port, twoTokens)).follow()
    expect((await following.ended).code).toBe(status.OK)
    expect([following.received, asked]).toEqual([
      ['one', 'two'],
      [first, 'Bearer second'],
    ])
  })

  it.each([
    ['twice', () => ({ code: status.UNAUTHENTICATED }), twoTokens, 2],
    ['with the same credential', refuseFirst, source('first'), 1],
    ['after it was answered', () => ({ code: status.UNAUTHENTICATED, afterMetadata: true }), twoTokens, 1],
    ['where the challenge names no error', () => ({ code: status.UNAUTHENTICATED, challenge: 'Basic realm="orders"' }), twoTokens, 1],
    ['that is forbidden', () => ({ code: status.PERMISSION_DENIED }), twoTokens, 1],
    ['that is unavailable', () => ({ code: status.UNAVAILABLE }), twoTokens, 1],
  ] as const)('repeats no call %s', async (_, answer, credentials, times) => {
    const { port, asked } = await bareServer(answer)
    await expect((await make(port, credentials)).say()).rejects.toMatchObject({ details: 'no' })
    expect(asked).toHaveLength(times)
  })

  it('repeats where the challenge names an error', async () => {
    const { port, asked } = await bareServer((authorization) =>
      authorization === first ? { code: status.UNAUTHENTICATED, challenge: 'Bearer error="invalid_token"' } : undefined,
    )
    await (await make(port, twoTokens)).say()
    expect(asked).toHaveLength(2)
  })

  it('repeats no call whose request is a stream', async () => {
    const { port, asked } = await bareServer(refuseFirst)
    const { call, answer } = (await make(port, twoTokens)).gather()
    call.end('a')
    await expect(answer).rejects.toMatchObject({ code: status.UNAUTHENTICATED })
    expect(asked).toEqual([first])
  })

  it('keeps the deadline of a call while it waits for a credential, and when it repeats', async () => {
    const { port, deadlines, asked } = await bareServer(refuseFirst)
    const signals: AbortSignal[] = []
    const never: CredentialSource = ({ signal }) => {
      if (signal !== undefined) signals.push(signal)
      return new Promise(() => undefined)
    }
    expect(await refusal((await make(port, never)).say('a', undefined, { deadline: Date.now() + 50 }))).toMatch(/^DEADLINE_EXCEEDED/)
    expect([signals.map(({ aborted }) => aborted), asked]).toEqual([[true], []])
    const deadline = Date.now() + 20_000
    await (await make(port, twoTokens)).say('a', undefined, { deadline })
    expect(deadlines).toHaveLength(2)
    for (const seen of deadlines) expect(Math.abs(seen - deadline)).toBeLessThan(2_000)
  })

  it('gives a call without a deadline one', async () => {
    const { port, deadlines } = await bareServer(() => undefined)
    const before = Date.now()
    await (await make(port, source('any'), { timeoutMs: 7_000 })).say()
    expect(deadlines[0]).toBeLessThan(before + 9_000)
  })

  it('can be cancelled while it waits for a credential', async () => {
    const { port, asked } = await bareServer(() => undefined)
    const following = (await make(port, () => new Promise(() => undefined))).follow()
    following.call.cancel()
    expect((await following.ended).code).toBe(status.CANCELLED)
    expect(asked).toEqual([])
  })

  it.each([
    ['an outage', () => Promise.reject(new UnavailableError('ERR_TEST', 'down')), status.UNAVAILABLE],
    [
      'a fault',
      () => {
        throw new Error('bug')
      },
      status.INTERNAL,
    ],
    [
      'a credential without a form',
      () => ({ credential: { kind: 'envelope', carrier: 'x', envelope: 'x' } as Credential }),
      status.FAILED_PRECONDITION,
    ],
  ] as const)('tells its caller of %s of the source, and sends nothing', async (_, failing, code) => {
    const { port, asked } = await bareServer(() => undefined)
    const error = (await (await make(port, failing)).say().catch((thrown: unknown) => thrown)) as ServiceError & { readonly cause: unknown }
    expect(error.code).toBe(code)
    expect(error.cause).toBeInstanceOf(Error)
    expect(asked).toEqual([])
  })

  it('takes no authorization of a call beside its source', async () => {
    const { port, asked } = await bareServer(() => undefined)
    const metadata = new Metadata()
    metadata.set('authorization', 'Bearer mine')
    await expect((await make(port, source('any'))).say('a', metadata)).rejects.toMatchObject({
      code: status.FAILED_PRECONDITION,
      cause: { code: 'ERR_GRPC_CREDENTIAL_CONFLICT' },
    })
    expect(asked).toEqual([])
  })

  it('asks its source for the origin and the address of the call, and names the caller', async () => {
    const { port } = await bareServer(() => undefined)
    const requests: Parameters<AnySource>[0][] = []
    const call = await make(port, (request) => {
      requests.push(request)
      return { credential: bearer('any') }
    })
    const caller = vouchForPrincipal({ issuer: 'i', subject: 'alice' })
    await call.say('a', undefined, onBehalfOf(caller))
    const origin = `https://localhost:${port}`
    expect(requests).toMatchObject([
      { target: { origin, secure: true }, binding: { method: 'POST', uri: `${origin}/test.Texts/say` }, onBehalfOf: caller },
    ])
    expect(() => onBehalfOf({ ...caller } as Principal)).toThrow(expect.objectContaining({ code: 'ERR_GRPC_CALLER' }))
  })

  it('presents keys in the metadata that they name, and no interceptor of the application sees a credential', async () => {
    const setting = guarding()
    const seen: string[] = []
    const answering = service({
      definition: { say: texts.say },
      guard: setting.guard,
      handlers: { say: (_call, { subject }) => subject },
    })
    await using listener = await serve({ tls: tls.server, guard: setting.guard, services: [answering], carriers: { 'x-key': 'bearer' } })
    const spy: Interceptor = (options, next) =>
      new InterceptingCall(next(options), {
        start(metadata, own, go) {
          seen.push(JSON.stringify(metadata))
          go(metadata, own)
        },
      })
    const key: CredentialSource = () => ({ credential: { kind: 'apiKey', carrier: 'x-key', name: 'x-key', key: secret(token('alice')) } })
    expect(await (await make(listener.port, key, { interceptors: [spy], tls: tls.client })).say()).toBe('alice')
    expect(seen).toEqual(['{}'])
  })

  it('speaks to no server without TLS, of another authority, or that does not speak HTTP/2', async () => {
    const plain = createHttp2Server().listen(0, '127.0.0.1')
    onTestFinished(() => void plain.close())
    await once(plain, 'listening')
    const { port } = plain.address() as AddressInfo
    const deadline = { deadline: Date.now() + 3_000 }
    expect(await refusal((await make(port, source('any'))).say('a', undefined, deadline))).toMatch(/^UNAVAILABLE/)
    const { port: secure, asked } = await bareServer(() => undefined)
    const foreign = await developmentTls()
    expect(await refusal((await make(secure, source('any'), { tls: foreign.client })).say('a', undefined, deadline))).toMatch(
      /^UNAVAILABLE/,
    )
    expect(asked).toEqual([])
  })

  it('asks a cached source once for a burst of calls that are refused', async () => {
    const { port } = await bareServer(refuseFirst)
    let fetches = 0
    const counting = cached(({ refused }) => {
      fetches++
      return { credential: bearer(refused === undefined ? 'first' : 'second') }
    })
    const call = await make(port, counting)
    await Promise.all(Array.from({ length: 10 }, () => call.say()))
    expect(fetches).toBe(2)
  })

  it('is not made with misspelt options, or with what is no class, host or bundle', async () => {
    const base = { host: 'localhost', port: 1, tls: tls.client }
    for (const [Constructor, options, code] of [
      [Client, { ...base, sources: source('x') }, 'ERR_OPTION_UNKNOWN'],
      [Client, { ...base, host: '' }, 'ERR_OPTION_INVALID'],
      [Client, { ...base, host: 'a/b' }, 'ERR_OPTION_INVALID'],
      [Client, { ...base, port: 0 }, 'ERR_OPTION_INVALID'],
      [Client, { ...base, timeoutMs: Number.NaN }, 'ERR_OPTION_INVALID'],
      [Client, { ...base, source: 'token' }, 'ERR_OPTION_INVALID'],
      [Client, { host: 'localhost', port: 1 }, 'ERR_OPTION_INVALID'],
      [undefined, base, 'ERR_OPTION_INVALID'],
    ] as const) {
      await expect(client(Constructor as never, options as never)).rejects.toMatchObject({ code })
    }
  })
})
