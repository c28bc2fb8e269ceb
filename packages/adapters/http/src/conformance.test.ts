import { Agent, request as nodeRequest, type ClientRequest, type IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import {
  connectBare,
  describeConformance,
  type Harness,
  type Live,
  type Observed,
  type Outcome,
  type PeerSetup,
  type Unsupported,
} from '@portcullis/testkit'
import { client, resource, serve, service, type Client, type Listener } from './index.ts'

const outcomes: Readonly<Record<number, Outcome>> = {
  200: 'allowed',
  400: 'challenged',
  401: 'challenged',
  403: 'forbidden',
  404: 'forbidden',
  429: 'unavailable',
  500: 'unavailable',
  503: 'unavailable',
}

const noRenewal: Unsupported = {
  because: 'RFC 9110 section 3.3: every request brings its own credentials, and an answer that has begun has none to take new ones',
  observed: 'closed',
  // What is open cannot be renewed, so it ends with the token it began with.
  async attempt(stage) {
    await stage.open({})
    const live = await stage.live({ presents: [{ token: { expiresInSeconds: 60 } }] })
    await stage.advance(60)
    await stage.ends(live, 'expired')
    return { outcome: 'closed', wire: '' }
  },
}

const harness: Harness = {
  async listen({ guard, operations, tls, application }) {
    const listener = await serve({
      tls,
      guard,
      port: 0,
      carriers: { cookies: { session: 'bearer' } },
      services: [
        service({
          path: '/',
          guard,
          resources: operations.flatMap(({ name, guard: own }) => [
            resource({
              method: 'GET',
              path: `/call/${name}`,
              guard: own,
              handler: (_request, principal) => ({ body: application.answer(name, principal) }),
            }),
            resource({
              method: 'GET',
              path: `/follow/${name}`,
              guard: own,
              handler: (_request, principal) => {
                let stop = (): void => undefined
                const body = new ReadableStream<Uint8Array>({
                  start: (controller) => {
                    stop = application.subscribe(name, principal, (text) => controller.enqueue(Buffer.from(`${JSON.stringify(text)}\n`)))
                  },
                  cancel: () => stop(),
                })
                return new Response(body, { headers: { 'content-type': 'application/x-ndjson' } })
              },
            }),
          ]) as never,
        }),
      ],
    })
    const open: { close(): void }[] = []
    return {
      origin: listener.origin,
      binding: (operation) => ({ method: 'GET', uri: `${listener.origin}/call/${operation}` }),
      peer(setup) {
        const peer = new BarePeer(listener, setup)
        open.push(peer)
        return peer
      },
      async client({ source, tls: clientTls, serverName, plaintextPort }) {
        const call = await client({ tls: clientTls, serverName, credentials: source })
        open.push(call)
        return overClient(call, plaintextPort === undefined ? listener.origin : `https://localhost:${plaintextPort}`)
      },
      async close() {
        for (const one of open) one.close()
        await listener.close({ graceMs: 0 })
      },
    }
  },
  unsupported: {
    'live.reauthentication': noRenewal,
    'live.otherSubject': noRenewal,
    'live.refusedReauthentication': noRenewal,
    'live.scopeLost': noRenewal,
    'client.renewal': noRenewal,
  },
}

function overClient(call: Client, origin: string) {
  return {
    async call(operation: string): Promise<Observed> {
      const response = await call(`${origin}/call/${operation}`)
      return observed(
        response.status,
        response.headers.get('www-authenticate')?.split(', Bearer') ?? [],
        await response.text(),
        JSON.stringify([...response.headers]),
      )
    },
    async live(operation: string): Promise<Live> {
      const response = await call(`${origin}/follow/${operation}`)
      if (response.status !== 200) throw new Error(await response.text())
      const received: string[] = []
      const read = async (): Promise<{ readonly wire: string }> => {
        try {
          for await (const chunk of response.body ?? []) received.push(...textsOf(Buffer.from(chunk).toString()))
        } catch {
          // Cut off: that is how it ends.
        }
        return { wire: 'closed' }
      }
      return { received, ended: read() }
    },
  }
}

/** A peer on `node:http` over a socket of the kit, so that it sends what it is told to, twice if need be. */
class BarePeer {
  readonly #agent: BareAgent
  readonly #setup: PeerSetup

  constructor(listener: Listener, setup: PeerSetup) {
    this.#agent = new BareAgent(setup, listener.port)
    this.#setup = setup
  }

  async call(operation: string): Promise<Observed> {
    const incoming = await this.#send(`/call/${operation}`)
    let text = ''
    for await (const chunk of incoming.setEncoding('utf8')) text += String(chunk)
    return observed(incoming.statusCode ?? 0, incoming.headersDistinct['www-authenticate'] ?? [], text, JSON.stringify(incoming.rawHeaders))
  }

  async live(operation: string): Promise<Live> {
    const incoming = await this.#send(`/follow/${operation}`)
    if (incoming.statusCode !== 200) throw new Error(String(incoming.statusCode))
    const received: string[] = []
    incoming.on('data', (data: Buffer) => received.push(...textsOf(data.toString())))
    incoming.on('error', () => undefined)
    return { received, ended: new Promise((resolve) => incoming.once('close', () => resolve({ wire: 'closed' }))) }
  }

  close(): void {
    this.#agent.destroy()
  }

  #send(path: string): Promise<IncomingMessage> {
    const headers: string[] = ['host', 'localhost']
    for (const { text, place, proof, credential } of this.#setup.carriers) {
      if (place === 'second') headers.push('cookie', `session=${credential?.kind === 'bearer' ? credential.token.reveal() : text}`)
      else headers.push('authorization', text)
      if (proof !== undefined) headers.push('dpop', proof)
    }
    return new Promise((resolve, reject) => {
      const outgoing: ClientRequest = nodeRequest({ agent: this.#agent, path, headers })
      outgoing.on('response', resolve).on('error', reject).end()
    })
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

function observed(status: number, challenges: readonly string[], text: string, fields: string): Observed {
  const outcome = outcomes[status] ?? 'closed'
  return { outcome, ...(outcome === 'allowed' && { answer: text }), challenges, wire: `${status} ${fields} ${text}` }
}

function textsOf(lines: string): string[] {
  return lines
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as string)
}

await describeConformance('http', harness)
