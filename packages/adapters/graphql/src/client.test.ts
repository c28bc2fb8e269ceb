import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { cached, UnavailableError, type CredentialSource } from '@portcullis/core'
import { secureServerOptions, tlsBundle, type ClientTlsBundle } from '@portcullis/tls'
import { developmentTls, type DevelopmentTls } from '@portcullis/tls/development'
import { useServer } from 'graphql-ws/use/ws'
import { createSchema, createYoga } from 'graphql-yoga'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { WebSocketServer } from 'ws'
import { client, type Client } from './client.ts'
import { clock, events, listeners, open, publish, revocationOf, server, tls as ours, until } from './scene.test-support.ts'
import { secret } from './index.ts'

const made: Client[] = []
afterEach(() => {
  for (const one of made.splice(0)) one.close()
})

function yielding(...tokens: string[]): CredentialSource & { asked: number } {
  const source = Object.assign(
    () => {
      const token = tokens[Math.min(source.asked++, tokens.length - 1)] ?? ''
      return { credential: { kind: 'bearer' as const, carrier: 'authorization', token: secret(token) } }
    },
    { asked: 0 },
  )
  return source
}

async function calling(credentials?: CredentialSource): Promise<Client> {
  const one = await client({ url: server.url, tls: ours.client, ...(credentials && { credentials }) })
  made.push(one)
  return one
}

describe('the client', () => {
  afterEach(() => server.close({ graceMs: 0 }))

  it('presents what its source yields, and gives errors of fields back with the data', async () => {
    await open()
    const one = await calling(yielding('alice'))
    expect(
      await one.execute({ query: 'query A($id: Int!) { hello order(id: $id) salary }', variables: { id: 1 }, operationName: 'A' }),
    ).toMatchObject({
      data: { hello: 'hello alice', order: 'order 1', salary: null },
      errors: [{ path: ['salary'], extensions: { code: 'FORBIDDEN' } }],
    })
  })

  it('asks once for another credential when one is refused, and gives up with the second', async () => {
    await open()
    const renewed = yielding('bad', 'alice')
    expect(await (await calling(renewed)).execute({ query: '{ hello }' })).toEqual({ data: { hello: 'hello alice' } })
    expect(renewed.asked).toBe(2)
    await expect((await calling(yielding('bad'))).execute({ query: '{ hello }' })).rejects.toMatchObject({ code: 'ERR_GRAPHQL_REFUSED' })
    await expect((await calling()).execute({ query: '{ hello }' })).rejects.toMatchObject({
      code: 'ERR_GRAPHQL_REFUSED',
      family: 'authentication',
    })
    await expect((await calling(yielding('down'))).execute({ query: '{ hello }' })).rejects.toMatchObject({
      code: 'ERR_GRAPHQL_UNAVAILABLE',
      retryAfterMs: 7_000,
    })
  })

  it('subscribes, and another subscription shares the connection', async () => {
    await open()
    const one = await calling(yielding('alice'))
    const [first, second] = [
      one.subscribe({ query: 'subscription { ticks { number } }' }),
      one.subscribe({ query: 'subscription { ticks { number } }' }),
    ]
    const events1 = [first.next(), second.next()]
    await until('Two subscriptions', () => listeners.size === 2)
    publish(1)
    expect(await Promise.all(events1)).toMatchObject([
      { value: { data: { ticks: { number: 1 } } } },
      { value: { data: { ticks: { number: 1 } } } },
    ])
    expect(events.filter((event) => event.type === 'decision' && event.resource === '/graphql' && event.outcome === 'allow')).toHaveLength(
      1,
    )
    await first.return?.()
    await until('The end of one', () => listeners.size === 1)
    await second.return?.()
    await until('The end of both', () => listeners.size === 0)
  })

  it('connects again with another credential when its own has run out or was revoked', async () => {
    await open()
    const source = yielding('vera', 'vera.')
    const stream = (await calling(source)).subscribe({ query: 'subscription { ticks { number } }' })
    const next = stream.next()
    await until('A subscription', () => listeners.size === 1)
    revocationOf('vera').revoke('lost')
    await until('A second subscription', () => source.asked === 2 && listeners.size === 1)
    publish(4)
    expect(await next).toMatchObject({ value: { data: { ticks: { number: 4 } } } })
    await stream.return?.()
  })

  it('leaves a server that is no longer trusted, in the middle of a subscription', async () => {
    await open()
    const folder = await mkdtemp(join(tmpdir(), 'portcullis-graphql-'))
    const pemFile = join(folder, 'trust.pem')
    await writeFile(pemFile, ours.authority)
    const bundle: ClientTlsBundle = await tlsBundle({ side: 'client', trust: { pemFile } })
    const one = await client({ url: server.url, tls: bundle, credentials: yielding('alice') })
    try {
      const next = one.subscribe({ query: 'subscription { ticks { number } }' }).next()
      next.catch(() => undefined)
      await until('A subscription', () => listeners.size === 1)
      const other = await developmentTls()
      await writeFile(pemFile, other.authority)
      other.close()
      await bundle.reload()
      await expect.poll(() => listeners.size, { timeout: 5_000 }).toBe(0)
    } finally {
      one.close()
      bundle.close()
      await rm(folder, { recursive: true })
    }
  })

  it('does not connect for ever with credentials that are refused', async () => {
    await open()
    const source = yielding('bad')
    await expect((await calling(source)).subscribe({ query: 'subscription { ticks { number } }' }).next()).rejects.toMatchObject({
      code: 'ERR_GRAPHQL_REFUSED',
    })
    expect(source.asked).toBe(2)
  })

  it('ends at once when it was revoked and its source says that it has no other credential', async () => {
    await open()
    const one = await calling(cached(yielding('rita')))
    const [first, second] = [
      one.subscribe({ query: 'subscription { ticks { number } }' }).next(),
      one.subscribe({ query: 'subscription { ticks { number } }' }).next(),
    ]
    await until('Two subscriptions', () => listeners.size === 2)
    revocationOf('rita').revoke('left')
    // Well before the library's first back-off is over.
    for (const ended of await Promise.allSettled([first, second]))
      expect(ended).toMatchObject({ reason: { code: 'ERR_GRAPHQL_REFUSED', cause: { code: 'ERR_SOURCE_EXHAUSTED' } } })
  })

  it('takes a source that is down for a reason to connect again later', async () => {
    await open()
    const source = yielding('alice')
    let down = true
    const failing: CredentialSource = (request) => {
      if (!down) return source(request)
      down = false
      throw new UnavailableError('ERR_TEST_DOWN', 'down')
    }
    const stream = (await calling(failing)).subscribe({ query: 'subscription { ticks { number } }' })
    // The library's first back-off, which is up to four seconds of the real clock.
    const publishing = setInterval(() => publish(2), 50)
    expect(await stream.next().finally(() => clearInterval(publishing))).toMatchObject({ value: { data: { ticks: { number: 2 } } } })
    await stream.return?.()
  }, 15_000)

  it('hears that an operation is refused', async () => {
    await open()
    const stream = (await calling(yielding('alice'))).subscribe({ query: 'subscription { secretTicks { number } }' })
    expect(await stream.next()).toMatchObject({ value: { errors: [{ extensions: { code: 'FORBIDDEN' } }] } })
    const wrong = (await calling(yielding('alice'))).subscribe({ query: 'subscription { nothing }' })
    expect(await wrong.next()).toMatchObject({ value: { errors: [{ message: expect.stringContaining('nothing') }] } })
  })

  it('renews in band before the end', async () => {
    await open()
    const one = await calling(yielding('alice..60', 'alice..600'))
    const stream = one.subscribe({ query: 'subscription { ticks { number } }' })
    const next = stream.next()
    await until('A subscription', () => listeners.size === 1)
    await clock.advanceAsync(30_000)
    await until('The renewal', () => events.some(({ type }) => type === 'reauthenticated'))
    await clock.advanceAsync(60_000)
    publish(9)
    expect(await next).toMatchObject({ value: { data: { ticks: { number: 9 } } } })
    await stream.return?.()
  })

  it('may be closed while it connects in vain', async () => {
    await open()
    const one = await client({ url: 'https://localhost:1/graphql', tls: ours.client })
    const next = one.subscribe({ query: 'subscription { ticks { number } }' }).next()
    one.close()
    expect(await next).toMatchObject({ done: true })
    // A rejection that nobody takes would end the process; the run fails with it.
    await new Promise((resolve) => setTimeout(resolve, 50))
  })

  it('says what is wrong with its options', async () => {
    await open()
    await expect(client({ url: server.url.replace('https', 'http') })).rejects.toMatchObject({ code: 'ERR_OPTION_INVALID' })
    await expect(client({ url: server.url, credential: yielding('a') } as never)).rejects.toMatchObject({ code: 'ERR_OPTION_UNKNOWN' })
    await expect(client({ url: server.url, credentials: undefined } as never)).rejects.toMatchObject({ code: 'ERR_OPTION_MISSING' })
  })

  it('sends nothing to a server that it does not trust', async () => {
    await open()
    const stranger = await developmentTls()
    const source = yielding('alice')
    const one = await client({ url: server.url, tls: stranger.client, credentials: source })
    made.push(one)
    await expect(one.execute({ query: '{ hello }' })).rejects.toMatchObject({ code: 'ERR_HTTP_TLS' })
    await expect(one.subscribe({ query: 'subscription { ticks { number } }' }).next()).rejects.toBeInstanceOf(UnavailableError)
    expect(events.filter(({ type }) => type === 'decision')).toEqual([])
    stranger.close()
  })
})

describe('the client against graphql-yoga and graphql-ws alone', () => {
  let tls: DevelopmentTls
  let url = ''
  let close = (): void => undefined
  const seen: unknown[] = []

  beforeAll(async () => {
    tls = await developmentTls()
    const schema = createSchema({
      typeDefs: 'type Query { hello: String } type Subscription { count: Int }',
      resolvers: {
        Query: { hello: (_source: unknown, _args: unknown, { request }: { request: Request }) => request.headers.get('authorization') },
        Subscription: {
          count: {
            subscribe: async function* () {
              for (let count = 1; count <= 3; count++) yield { count }
            },
          },
        },
      },
    })
    const yoga = createYoga({ schema: schema as never, logging: false })
    const bare = createServer(secureServerOptions(tls), (request, response) => void yoga(request, response))
    const sockets = new WebSocketServer({ server: bare, path: '/graphql' })
    useServer(
      {
        schema,
        onConnect: ({ connectionParams }) => {
          seen.push(connectionParams)
          return connectionParams?.['authorization'] === 'Bearer alice'
        },
      },
      sockets,
    )
    await new Promise<void>((resolve) => bare.listen(0, '127.0.0.1', resolve))
    url = `https://localhost:${(bare.address() as AddressInfo).port}/graphql`
    close = () => {
      sockets.close()
      bare.closeAllConnections()
      bare.close()
      tls.close()
    }
  })
  afterAll(() => close())

  it('calls, subscribes and is refused', async () => {
    const one = await client({ url, tls: tls.client, credentials: yielding('alice') })
    made.push(one)
    expect(await one.execute({ query: '{ hello }' })).toEqual({ data: { hello: 'Bearer alice' } })
    const counted: unknown[] = []
    for await (const { data } of one.subscribe<{ readonly count: number }>({ query: 'subscription { count }' })) counted.push(data?.count)
    expect(counted).toEqual([1, 2, 3])
    expect(seen).toEqual([{ authorization: 'Bearer alice' }])
  })

  it('is told of an answer that is no result', async () => {
    const one = await client({ url: url.replace('/graphql', '/elsewhere'), tls: tls.client })
    made.push(one)
    await expect(one.execute({ query: '{ hello }' })).rejects.toMatchObject({ code: 'ERR_GRAPHQL_ANSWER' })
  })
})
