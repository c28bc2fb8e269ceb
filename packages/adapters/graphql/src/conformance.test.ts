import { Agent, request as nodeRequest } from 'node:http'
import type { Duplex } from 'node:stream'
import {
  connectBare,
  describeConformance,
  type Carrier,
  type Harness,
  type Live,
  type Observed,
  type Outcome,
  type PeerSetup,
} from '@portcullis/testkit'
import { serve as serveHttp } from '@portcullis/http'
import { GraphQLNonNull, GraphQLObjectType, GraphQLSchema, GraphQLString, type GraphQLFieldConfig } from 'graphql'
import { WebSocket } from 'ws'
import { client, type Client, type Result } from './client.ts'
import { access, callerOf, graphql } from './index.ts'

const byStatus: Readonly<Record<number, Outcome>> = {
  400: 'challenged',
  401: 'challenged',
  403: 'forbidden',
  429: 'unavailable',
  500: 'unavailable',
  503: 'unavailable',
}
const byCode: Readonly<Record<string, Outcome>> = {
  UNAUTHENTICATED: 'challenged',
  FORBIDDEN: 'forbidden',
  SERVICE_UNAVAILABLE: 'unavailable',
  TOO_MANY_REQUESTS: 'unavailable',
  INTERNAL_SERVER_ERROR: 'unavailable',
}

const harness: Harness = {
  async listen({ guard, operations, tls, application }) {
    const fields = Object.fromEntries(
      operations.map(({ name, guard: own }): [string, GraphQLFieldConfig<unknown, object>] => [
        name,
        {
          type: GraphQLString,
          extensions: access(name === 'public' ? { everyone: true } : { guard: own }),
          resolve: (_source, _args, context) => application.answer(name, callerOf(context)),
        },
      ]),
    )
    const follows = Object.fromEntries(
      operations.map(({ name, guard: own }): [string, GraphQLFieldConfig<unknown, object>] => [
        name,
        {
          type: new GraphQLNonNull(GraphQLString),
          extensions: access(name === 'public' ? { everyone: true } : { guard: own }),
          resolve: (text) => text,
          subscribe: (_source, _args, context) => published((push) => application.subscribe(name, callerOf(context), push)),
        },
      ]),
    )
    const endpoint = graphql({
      guard,
      yoga: {
        schema: new GraphQLSchema({
          query: new GraphQLObjectType({ name: 'Query', fields }),
          subscription: new GraphQLObjectType({ name: 'Subscription', fields: follows }),
        }),
      },
    })
    const server = await serveHttp({ tls, guard, port: 0, carriers: { cookies: { session: 'bearer' } }, services: [endpoint.service] })
    endpoint.attach(server)
    const open: { close(): void }[] = []
    return {
      origin: server.origin,
      binding: () => ({ method: 'POST', uri: `${server.origin}/graphql` }),
      peer(setup) {
        const peer = new BarePeer(setup, server.port)
        open.push(peer)
        return peer
      },
      async client({ source, tls: clientTls, serverName, plaintextPort }) {
        const url = plaintextPort === undefined ? `${server.origin}/graphql` : `https://localhost:${plaintextPort}/graphql`
        const made = await client({ url, tls: clientTls, serverName, credentials: source })
        open.push(made)
        return overClient(made)
      },
      async close() {
        for (const one of open) one.close()
        await server.close({ graceMs: 0 })
      },
    }
  },
}

/** A source of events that the kit publishes into. */
function published(subscribe: (push: (text: string) => void) => () => void): AsyncIterableIterator<string> {
  const waiting: string[] = []
  let wake = (): void => undefined
  const state = { over: false }
  const stop = subscribe((text) => {
    waiting.push(text)
    wake()
  })
  const done = { done: true as const, value: undefined }
  return {
    async next() {
      while (waiting.length === 0 && !state.over) await new Promise<void>((resolve) => (wake = resolve))
      const value = waiting.shift()
      return value === undefined ? done : { done: false, value }
    },
    async return() {
      state.over = true
      stop()
      wake()
      return done
    },
    [Symbol.asyncIterator]() {
      return this
    },
  }
}

function observed(result: Result, operation: string, wire: string, challenges: readonly string[] = []): Observed {
  const [error] = result.errors ?? []
  if (error === undefined) return { outcome: 'allowed', answer: String(result.data?.[operation]), wire }
  const told = (error.extensions?.['challenges'] as readonly string[] | undefined) ?? challenges
  return { outcome: byCode[error.extensions?.code ?? ''] ?? 'forbidden', challenges: told, wire }
}

function overClient(made: Client) {
  return {
    async call(operation: string): Promise<Observed> {
      const result = await made.execute({ query: `{ ${operation} }` })
      return observed(result, operation, JSON.stringify(result))
    },
    live(operation: string): Promise<Live> {
      const received: string[] = []
      const events = made.subscribe({ query: `subscription { ${operation} }` })
      const read = async (): Promise<{ readonly wire: string }> => {
        try {
          for await (const { data } of events) if (data?.[operation] !== undefined) received.push(data[operation] as string)
          return { wire: 'completed' }
        } catch (error) {
          return { wire: String(error) }
        }
      }
      return Promise.resolve({ received, ended: read() })
    },
  }
}

/** A peer on `node:http` and `ws`, over sockets of the kit. */
class BarePeer {
  readonly #agent: BareAgent
  readonly #setup: PeerSetup
  readonly #port: number

  constructor(setup: PeerSetup, port: number) {
    this.#agent = new BareAgent(setup, port)
    this.#setup = setup
    this.#port = port
  }

  call(operation: string): Promise<Observed> {
    const headers: string[] = ['host', 'localhost', 'content-type', 'application/json', 'sec-fetch-site', 'same-origin']
    for (const { text, place, proof, credential } of this.#setup.carriers) {
      if (place === 'second') headers.push('cookie', `session=${credential?.kind === 'bearer' ? credential.token.reveal() : text}`)
      else headers.push('authorization', text)
      if (proof !== undefined) headers.push('dpop', proof)
    }
    const content = JSON.stringify({ query: `{ ${operation} }` })
    headers.push('content-length', String(content.length))
    return new Promise((resolve, reject) => {
      nodeRequest({ agent: this.#agent, method: 'POST', path: '/graphql', headers }, (incoming) => {
        let text = ''
        incoming.setEncoding('utf8').on('data', (chunk: string) => (text += chunk))
        incoming.on('end', () => {
          const status = incoming.statusCode ?? 0
          const wire = `${status} ${JSON.stringify(incoming.rawHeaders)} ${text}`
          const challenges = incoming.headersDistinct['www-authenticate'] ?? []
          const outcome = status === 200 ? undefined : (byStatus[status] ?? 'closed')
          resolve(outcome === undefined ? observed(JSON.parse(text) as Result, operation, wire, challenges) : { outcome, challenges, wire })
        })
      })
        .on('error', reject)
        .end(content)
    })
  }

  async live(operation: string): Promise<Live> {
    const wire = await connectBare(this.#setup, this.#port, ['http/1.1'])
    const socket = new WebSocket(`wss://localhost:${this.#port}/graphql`, 'graphql-transport-ws', { createConnection: () => wire })
    const received: string[] = []
    const pongs: ((
      payload: { readonly refused?: string; readonly challenges?: readonly string[] } | { readonly closed: number },
    ) => void)[] = []
    const ended = new Promise<{ readonly wire: string }>((resolve) => {
      socket.on('close', (code, reason) => {
        for (const pong of pongs.splice(0)) pong({ closed: code })
        resolve({ wire: `${code} ${String(reason)}` })
      })
    })
    const finished = Promise.withResolvers<{ readonly wire: string }>()
    void ended.then(finished.resolve)
    await new Promise<void>((resolve, reject) => {
      socket.on('error', reject)
      socket.on('close', () => reject(new Error('closed')))
      socket.on('open', () => {
        const [carrier] = this.#setup.carriers
        socket.send(JSON.stringify({ type: 'connection_init', ...(carrier && { payload: { authorization: carrier.text } }) }))
      })
      socket.on('message', (data: Buffer) => {
        const message = JSON.parse(String(data)) as {
          readonly type: string
          readonly payload?: { data?: Record<string, string>; errors?: unknown }
        }
        if (message.type === 'connection_ack') {
          socket.send(JSON.stringify({ id: '1', type: 'subscribe', payload: { query: `subscription { ${operation} }` } }))
          resolve()
        }
        if (message.type === 'next' && message.payload?.data) received.push(String(message.payload.data[operation]))
        if (message.type === 'next' && message.payload?.errors) finished.resolve({ wire: JSON.stringify(message) })
        if (message.type === 'pong') pongs.shift()?.(message.payload as never)
        if (message.type === 'complete' || message.type === 'error') finished.resolve({ wire: JSON.stringify(message) })
      })
    })
    return {
      received,
      ended: finished.promise,
      reauthenticate: ([carrier]: readonly Carrier[]) =>
        new Promise((resolve) => {
          pongs.push((payload) => {
            if ('closed' in payload) resolve({ outcome: 'closed', wire: String(payload.closed) })
            else if (payload.refused === undefined) resolve({ outcome: 'allowed', wire: JSON.stringify(payload) })
            else
              resolve({
                outcome: byCode[payload.refused] ?? 'challenged',
                challenges: payload.challenges ?? [],
                wire: JSON.stringify(payload),
              })
          })
          socket.send(JSON.stringify({ type: 'ping', payload: { authorization: carrier?.text } }))
        }),
    }
  }

  close(): void {
    this.#agent.destroy()
  }
}

class BareAgent extends Agent {
  readonly #setup: PeerSetup
  readonly #port: number

  constructor(setup: PeerSetup, port: number) {
    super({ keepAlive: true, maxSockets: 1 })
    this.#setup = setup
    this.#port = port
  }

  override createConnection(_options: object, done: (error: Error | null, socket: Duplex) => void): undefined {
    connectBare(this.#setup, this.#port, ['http/1.1']).then(
      (socket) => done(null, socket),
      (error: unknown) => done(error as Error, undefined as never),
    )
  }
}

await describeConformance('graphql', harness)
