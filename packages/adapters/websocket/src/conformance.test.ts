import type { IncomingMessage } from 'node:http'
import {
  connectBare,
  describeConformance,
  type Carrier,
  type Ended,
  type Harness,
  type Live,
  type Observed,
  type Outcome,
  type Peer,
  type PeerSetup,
} from '@portcullis/testkit'
import { WebSocket } from 'ws'
import { connect, contentOf, readListenerFrame, serve, sessionField, websocket, writeFrame, type WebSocketClient } from './index.ts'

const statuses: Readonly<Record<number, Outcome>> = {
  400: 'challenged',
  401: 'challenged',
  403: 'forbidden',
  404: 'forbidden',
  429: 'unavailable',
  500: 'unavailable',
  503: 'unavailable',
}
const reasons: Readonly<Record<string, Outcome>> = { insufficientScope: 'forbidden', forbidden: 'forbidden', outage: 'unavailable' }

const harness: Harness = {
  async listen({ guard, operations, tls, application }) {
    const listener = await serve({ tls, guard, port: 0 }, () => undefined)
    const { server } = listener
    for (const { name, guard: own } of operations) {
      websocket({ server, path: `/call/${name}`, guard: own }, (socket, principal) => {
        socket.on('message', () => socket.send(application.answer(name, principal)))
      })
      websocket({ server, path: `/follow/${name}`, guard: own }, (socket, principal) => {
        socket.on(
          'close',
          application.subscribe(name, principal, (text) => socket.send(text)),
        )
      })
    }
    const open: { close(): void }[] = []
    return {
      origin: server.origin,
      binding: (operation) => ({ method: 'GET', uri: `${server.origin}/call/${operation}` }),
      peer(setup) {
        const peer = new BarePeer(listener.port, setup)
        open.push(peer)
        return peer
      },
      client({ source, tls: clientTls, serverName, plaintextPort, clock }) {
        const opened = async (path: string, onMessage: (text: string) => void): Promise<WebSocketClient> => {
          const url = `wss://localhost:${plaintextPort ?? listener.port}${path}`
          const options = { url, tls: clientTls, serverName, credentials: source, reconnect: false, clock } as const
          const client = await connect({ ...options, onMessage: (message) => onMessage(String(message)) })
          open.push({ close: () => void client.close() })
          return client
        }
        return {
          async call(operation) {
            const answer = Promise.withResolvers<string>()
            const client = await opened(`/call/${operation}`, answer.resolve)
            await client.send('call')
            return { outcome: 'allowed', answer: await answer.promise, wire: '' }
          },
          async live(operation) {
            const received: string[] = []
            const client = await opened(`/follow/${operation}`, (text) => received.push(text))
            return { received, ended: client.ended.then((error) => ({ wire: String(error) })) }
          },
        }
      },
      async close() {
        for (const one of open) one.close()
        await listener.close()
      },
    }
  },
}

/** A peer on bare `ws` over a socket of the kit. */
class BarePeer implements Peer {
  readonly #port: number
  readonly #setup: PeerSetup
  readonly #received: string[] = []
  readonly #over = Promise.withResolvers<Ended>()
  #socket: WebSocket | undefined
  #tag = ''
  #answer = Promise.withResolvers<Observed>()

  constructor(port: number, setup: PeerSetup) {
    this.#port = port
    this.#setup = setup
  }

  async call(operation: string): Promise<Observed> {
    const refused = await this.#begin(`/call/${operation}`)
    if (refused !== undefined) return refused
    const answer = await this.#exchange('call')
    return { ...answer, answer: this.#received.pop() ?? '' }
  }

  async live(operation: string): Promise<Live> {
    const refused = await this.#begin(`/follow/${operation}`)
    if (refused !== undefined) throw new Error(refused.wire)
    const reauthenticate = ([carrier]: readonly Carrier[]): Promise<Observed> =>
      this.#exchange(writeFrame(this.#tag, { type: 'authenticate', authorization: carrier?.text ?? '' }))
    return { received: this.#received, ended: this.#over.promise, reauthenticate }
  }

  close(): void {
    this.#socket?.terminate()
  }

  #exchange(message: string): Promise<Observed> {
    this.#answer = Promise.withResolvers()
    this.#socket?.send(message)
    return this.#answer.promise
  }

  /** Opens it, if it is not; what it is told if that is refused. */
  async #begin(path: string): Promise<Observed | undefined> {
    if (this.#socket !== undefined) return undefined
    const wire = await connectBare(this.#setup, this.#port)
    const headers: Record<string, string | string[]> = { [sessionField]: '1' }
    const usual = this.#setup.carriers.filter(({ place }) => place !== 'second').map(({ text }) => text)
    if (usual.length > 0) headers['authorization'] = usual.length === 1 ? (usual[0] ?? '') : usual
    const protocols: string[] = []
    for (const { place, text, proof } of this.#setup.carriers) {
      if (place === 'second') protocols.push('orders', text.replace(/^Bearer /, 'bearer.'))
      if (proof !== undefined) headers['dpop'] = proof
    }
    const socket = new WebSocket(`wss://localhost:${this.#port}${path}`, protocols, { createConnection: () => wire, headers })
    this.#socket = socket
    socket.on('message', (data: Buffer) => this.#take(data))
    socket.on('close', (code, reason) => {
      const text = `${code} ${reason.toString()}`
      this.#over.resolve({ wire: text })
      this.#answer.resolve({ outcome: code === 1011 ? 'unavailable' : 'closed', wire: text })
    })
    return new Promise((resolve, reject) => {
      socket.on('error', reject)
      socket.on('upgrade', (response: IncomingMessage) => (this.#tag = String(response.headers[sessionField])))
      socket.on('open', () => resolve(undefined))
      socket.on('unexpected-response', (_request, { statusCode = 0, headersDistinct, rawHeaders }: IncomingMessage) => {
        wire.destroy()
        const challenges = headersDistinct['www-authenticate'] ?? []
        resolve({ outcome: statuses[statusCode] ?? 'closed', challenges, wire: `${statusCode} ${JSON.stringify(rawHeaders)}` })
      })
    })
  }

  #take(data: Buffer): void {
    const content = contentOf(this.#tag, data)
    if (content === undefined) {
      this.#received.push(data.toString())
      return this.#answer.resolve({ outcome: 'allowed', wire: data.toString() })
    }
    const frame = readListenerFrame(content)
    if (frame?.type === 'authenticated') this.#answer.resolve({ outcome: 'allowed', wire: content })
    if (frame?.type === 'refused')
      this.#answer.resolve({ outcome: reasons[frame.reason] ?? 'challenged', challenges: frame.challenges, wire: content })
  }
}

await describeConformance('websocket', harness)
