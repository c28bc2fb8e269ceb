import type { Socket } from 'node:net'

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
  type Unsupported,
} from '@portcullis/testkit'

import { connect } from './client.ts'
import { linesOf, wordsOf } from './lines.ts'
import { serve, type Operation } from './listener.ts'
import type { RefusalWord } from './refuse.ts'

const outcomes: Readonly<Record<RefusalWord, Outcome>> = {
  'credential-missing': 'challenged',
  'credential-malformed': 'challenged',
  'credential-refused': 'challenged',
  'step-up': 'challenged',
  'scope-missing': 'forbidden',
  forbidden: 'forbidden',
  unknown: 'forbidden',
  'try-later': 'unavailable',
  fault: 'unavailable',
}

const oneCarrier: Unsupported = {
  because: 'the AUTH line is the only carrier and holds one value; another AUTH line is a renewal',
  observed: 'challenged',
  attempt: (stage) => stage.attempt({ presents: [{ raw: 'Bearer one, Bearer two' }] }),
}
const noProof: Unsupported = {
  because: 'RFC 9449 section 4.2: a proof names an HTTP method and URI, and a line has neither',
  observed: 'challenged',
  attempt: (stage) => stage.attempt({ presents: [{ raw: 'DPoP token' }] }),
}

const harness: Harness = {
  async listen({ guard, operations, tls, application }) {
    const offered: Record<string, Operation> = {}
    for (const { name, guard: own } of operations) {
      offered[`call ${name}`] = { guard: own, answer: (principal) => application.answer(name, principal) }
      offered[`follow ${name}`] = { guard: own, follow: (principal, push) => application.subscribe(name, principal, push) }
    }
    const listener = await serve({ tls, guard, operations: offered })
    return {
      origin: `hello://localhost:${listener.port}`,
      peer: (setup) => new BarePeer(listener.port, setup),
      async client({ source, tls: clientTls, serverName, plaintextPort }) {
        const client = await connect({ host: '127.0.0.1', port: plaintextPort ?? listener.port, tls: clientTls, serverName, source })
        return {
          call: async (operation) => ({ outcome: 'allowed', answer: await client.call('call', operation), wire: '' }),
          async live(operation) {
            const received: string[] = []
            const { ended } = await client.follow(operation, (text) => received.push(text))
            return { received, ended: ended.then((wire) => ({ wire })) }
          },
          close: () => client.close(),
        }
      },
      close: () => listener.close(),
    }
  },
  unsupported: {
    'credential.twoInOneCarrier': oneCarrier,
    'credential.oneKindInTwoCarriers': oneCarrier,
    'proof.sound': noProof,
    'proof.otherTarget': noProof,
    'proof.replayed': noProof,
  },
}

/** A peer that writes what it is told to, and keeps all that it reads. */
class BarePeer implements Peer {
  readonly #port: number
  readonly #setup: PeerSetup
  readonly #news: string[] = []
  readonly #over = Promise.withResolvers<Ended>()
  #socket: Promise<Socket> | undefined
  #waiting: PromiseWithResolvers<string> | undefined

  constructor(port: number, setup: PeerSetup) {
    this.#port = port
    this.#setup = setup
  }

  async call(operation: string): Promise<Observed> {
    return (await this.#begin()) ?? this.#exchange(`call ${operation}`)
  }

  async live(operation: string): Promise<Live> {
    const observed = (await this.#begin()) ?? (await this.#exchange(`follow ${operation}`))
    if (observed.outcome !== 'allowed') throw new Error(observed.wire)
    return { received: this.#news, ended: this.#over.promise, reauthenticate: ([carrier]) => this.#present(carrier) }
  }

  async close(): Promise<void> {
    await this.#socket?.then((socket) => socket.destroy()).catch(() => undefined)
  }

  /** Connects and presents what there is, once; what it is told if that was refused. */
  async #begin(): Promise<Observed | undefined> {
    if (this.#socket !== undefined) return undefined
    this.#socket = this.#open()
    await this.#socket
    const [carrier] = this.#setup.carriers
    const observed = carrier === undefined ? undefined : await this.#present(carrier)
    return observed?.outcome === 'allowed' ? undefined : observed
  }

  async #open(): Promise<Socket> {
    const socket = await connectBare(this.#setup, this.#port)
    void this.#read(socket)
    return socket
  }

  async #read(socket: Socket): Promise<void> {
    try {
      for await (const line of linesOf(socket)) this.#take(line)
    } catch {
      // A connection that was cut is an outcome.
    }
    this.#over.resolve({ wire: 'closed' })
    this.#waiting?.reject(new Error('The connection ended without an answer.'))
  }

  #take(line: string): void {
    const [word, rest] = wordsOf(line)
    if (word === 'NEWS') this.#news.push(JSON.parse(wordsOf(rest)[1]) as string)
    else if (word === 'END') this.#over.resolve({ wire: line })
    else if (word !== 'WARN') this.#waiting?.resolve(line)
  }

  #present(carrier: Carrier | undefined): Promise<Observed> {
    return this.#exchange(`AUTH ${carrier?.text ?? ''}`)
  }

  async #exchange(line: string): Promise<Observed> {
    this.#waiting = Promise.withResolvers()
    const socket = await this.#socket
    if (socket?.closed !== false) throw new Error('The connection has ended.')
    socket.write(`${line}\n`)
    const answer = await this.#waiting.promise
    const [word, rest] = wordsOf(answer)
    if (word === 'OK') return { outcome: 'allowed', ...(rest !== '' && { answer: JSON.parse(rest) as string }), wire: answer }
    const [reason, challenges] = wordsOf(rest)
    return { outcome: word === 'REFUSED' ? outcomes[reason as RefusalWord] : 'closed', challenges: challenges.split(', '), wire: answer }
  }
}

await describeConformance('hello', harness)
