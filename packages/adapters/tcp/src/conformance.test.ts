import type { Socket } from 'node:net'
import {
  connectBare,
  describeConformance,
  type Harness,
  type Live,
  type Observed,
  type Peer,
  type PeerSetup,
  type Unsupported,
} from '@portcullis/testkit'
import { connect } from './client.ts'
import { serve, type TcpListener } from './listener.ts'

const oneCarrier: Unsupported = {
  because: 'the first line is the only carrier and holds one value; what follows are bytes of the application',
  observed: 'closed',
  attempt: (stage) => stage.attempt({ presents: [{ raw: 'Bearer one, Bearer two' }] }),
}
const noProof: Unsupported = {
  because: 'RFC 9449 section 4.2: a proof names an HTTP method and URI, and a first line has neither',
  observed: 'closed',
  attempt: (stage) => stage.attempt({ presents: [{ raw: 'DPoP token' }] }),
}
const noWords: Unsupported = {
  because: 'a stream of bytes has no words for a challenge: a refused peer sees the connection close, and learns no scheme and no reason',
  observed: 'closed',
  attempt: (stage) => stage.attempt({ presents: [{ raw: '' }] }),
}
const noRenewal: Unsupported = {
  because: 'after its first line a connection carries bytes of the application and nothing else; a client connects anew',
  observed: 'closed',
  attempt: (stage) => stage.attempt({ presents: [{ raw: '' }] }),
}

/** A listener of this adapter offers one thing, so each operation has a listener of its own. */
const harness: Harness = {
  wording: { challenged: 'closed', forbidden: 'closed', unavailable: 'closed' },
  async listen({ guard, operations, tls, application }) {
    const listeners = new Map<string, TcpListener>()
    for (const { name, guard: own } of operations) {
      const listener = await serve({ tls, guard: own, credentials: 'firstLine', resource: name }, ({ socket }, principal) => {
        socket.on('data', (wish) => {
          if (String(wish).startsWith('call'))
            return void socket.write(`${JSON.stringify(answerOf(() => application.answer(name, principal)))}\n`)
          socket.write('"following"\n')
          return void socket.once(
            'close',
            application.subscribe(name, principal, (text) => void socket.write(`${JSON.stringify(text)}\n`)),
          )
        })
      })
      listeners.set(name, listener)
    }
    const nothing = await serve({ tls, guard, credentials: 'firstLine' }, ({ socket }) => void socket.destroy())
    const portOf = (operation: string): number => (listeners.get(operation) ?? nothing).port
    const sockets: Socket[] = []
    const peerOf = (open: (operation: string) => Promise<Socket>): Peer =>
      new LinePeer(async (operation) => {
        const socket = await open(operation)
        sockets.push(socket)
        return socket
      })
    return {
      origin: `tcp://localhost:${portOf('read')}`,
      peer: (setup) => peerOf((operation) => bare(setup, portOf(operation))),
      client: ({ source, tls: clientTls, serverName, plaintextPort }) =>
        peerOf((operation) => connect({ host: '127.0.0.1', port: plaintextPort ?? portOf(operation), tls: clientTls, serverName, source })),
      async close() {
        for (const socket of sockets) socket.destroy()
        await Promise.all([nothing, ...listeners.values()].map((listener) => listener.close()))
      },
    }
  },
  unsupported: {
    'credential.twoInOneCarrier': oneCarrier,
    'credential.oneKindInTwoCarriers': oneCarrier,
    'credential.challengeNamesScheme': noWords,
    'client.oneRefresh': noWords,
    'client.renewal': noRenewal,
    'live.reauthentication': noRenewal,
    'live.otherSubject': noRenewal,
    'live.refusedReauthentication': noRenewal,
    'live.scopeLost': noRenewal,
    'proof.sound': noProof,
    'proof.otherTarget': noProof,
    'proof.replayed': noProof,
  },
}

function answerOf(answer: () => string): string | null {
  try {
    return answer()
  } catch {
    return null
  }
}

async function bare(setup: PeerSetup, port: number): Promise<Socket> {
  const socket = await connectBare(setup, port)
  socket.write(`${setup.carriers.map(({ text }) => text).join(', ')}\n`)
  return socket
}

/** A peer of one connection per operation, kept as long as it lives. */
class LinePeer implements Peer {
  readonly #open: (operation: string) => Promise<Socket>
  readonly #lines = new Map<string, Promise<Lines>>()

  constructor(open: (operation: string) => Promise<Socket>) {
    this.#open = open
  }

  async call(operation: string): Promise<Observed> {
    const lines = await this.#connected(operation)
    const answer = await lines.ask('call')
    return typeof answer === 'string' ? { outcome: 'allowed', answer, wire: answer } : { outcome: 'closed', wire: '' }
  }

  async live(operation: string): Promise<Live> {
    const lines = await this.#connected(operation)
    if ((await lines.ask('follow')) !== 'following') throw new Error('refused')
    return { received: lines.received, ended: lines.ended.then(() => ({ wire: 'closed' })) }
  }

  #connected(operation: string): Promise<Lines> {
    const known = this.#lines.get(operation) ?? this.#open(operation).then((socket) => new Lines(socket))
    this.#lines.set(operation, known)
    return known
  }
}

class Lines {
  readonly received: string[] = []
  readonly ended: Promise<void>
  readonly #socket: Socket
  #rest = ''
  #waiting: ((line: unknown) => void) | undefined

  constructor(socket: Socket) {
    this.#socket = socket
    const { promise, resolve } = Promise.withResolvers<void>()
    this.ended = promise
    socket.on('error', () => undefined).on('data', (chunk) => this.#take(String(chunk)))
    const over = (): void => {
      this.#waiting?.(undefined)
      resolve()
    }
    if (socket.closed) over()
    else socket.once('close', over)
  }

  ask(wish: string): Promise<unknown> {
    return new Promise((resolve) => {
      if (this.#socket.closed) return resolve(undefined)
      this.#waiting = resolve
      return void this.#socket.write(`${wish}\n`)
    })
  }

  #take(text: string): void {
    const complete = (this.#rest + text).split('\n')
    this.#rest = complete.pop() ?? ''
    for (const line of complete) {
      const said = JSON.parse(line) as unknown
      const waiting = this.#waiting
      this.#waiting = undefined
      if (waiting === undefined) this.received.push(String(said))
      else waiting(said)
    }
  }
}

await describeConformance('tcp', harness)
