import { connect, type ClientHttp2Session, type ClientHttp2Stream, type OutgoingHttpHeaders } from 'node:http2'
import { Client, Metadata, status, type ClientReadableStream, type ServiceError, type StatusObject } from '@grpc/grpc-js'
import {
  connectBare,
  describeConformance,
  type Carrier,
  type Harness,
  type Live,
  type Observed,
  type Outcome,
  type Peer,
  type PeerSetup,
  type Unsupported,
} from '@portcullis/testkit'
import { client, renewalKey, renewalPath, serve, service, type GrpcListener } from './index.ts'
import { textMethod } from './text-service.test-support.ts'

const outcomes: Readonly<Record<number, Outcome>> = {
  [status.OK]: 'allowed',
  [status.UNAUTHENTICATED]: 'challenged',
  [status.PERMISSION_DENIED]: 'forbidden',
  [status.UNIMPLEMENTED]: 'forbidden',
  [status.NOT_FOUND]: 'forbidden',
  [status.UNAVAILABLE]: 'unavailable',
  [status.RESOURCE_EXHAUSTED]: 'unavailable',
  [status.INTERNAL]: 'unavailable',
}

const oneCarrier: Unsupported = {
  because:
    'Node keeps the first of two authorization fields of an HTTP/2 request and drops the others before any server sees them (RFC 9110 section 5.3: the field has one value); two values in one field are refused',
  observed: 'challenged',
  attempt: (stage) => stage.attempt({ presents: [{ raw: 'Bearer one, Bearer two' }] }),
}

const harness: Harness = {
  async listen({ guard, operations, tls, application, clock }) {
    const listener = await serve({
      tls,
      guard,
      carriers: { 'x-access-token': 'bearer' },
      services: operations.map(({ name, guard: own }) =>
        service({
          definition: {
            call: textMethod(`/test.${name}/call`, false, false),
            follow: textMethod(`/test.${name}/follow`, false, true),
          },
          guard: own,
          handlers: {
            call: (_call, principal) => application.answer(name, principal),
            follow: (call, principal) => {
              const stop = application.subscribe(name, principal, (text) => call.write(text))
              call.on('cancelled', stop)
            },
          },
        }),
      ),
    })
    return {
      origin: listener.origin,
      binding: (operation) => ({ method: 'POST', uri: `${listener.origin}/test.${operation}/call` }),
      peer: (setup) => new BarePeer(listener, setup),
      async client({ source, tls: clientTls, serverName, plaintextPort }) {
        const made = await client(Client, {
          host: '127.0.0.1',
          port: plaintextPort ?? listener.port,
          tls: clientTls,
          serverName,
          source,
          clock,
          timeoutMs: 3_000,
        })
        return new OwnPeer(made)
      },
      close: () => listener.close({ graceMs: 0 }),
    }
  },
  unsupported: { 'credential.twoInOneCarrier': oneCarrier },
}

class OwnPeer implements Peer {
  readonly #client: Client

  constructor(made: Client) {
    this.#client = made
  }

  call(operation: string): Promise<Observed> {
    const { path, requestSerialize, responseDeserialize } = textMethod(`/test.${operation}/call`, false, false)
    return new Promise((resolve, reject) => {
      this.#client.makeUnaryRequest(path, requestSerialize, responseDeserialize, 'please', (error, answer) => {
        if (error === null) resolve(observed({ code: status.OK, details: '', metadata: new Metadata() }, answer))
        // The library says "unavailable" of a server that it does not speak to.
        else if (error.code === status.UNAVAILABLE && error.metadata.get('content-type').length === 0) reject(error)
        else resolve(observed(error))
      })
    })
  }

  live(operation: string): Promise<Live> {
    const { path, requestSerialize, responseDeserialize } = textMethod(`/test.${operation}/follow`, false, true)
    const stream: ClientReadableStream<string> = this.#client.makeServerStreamRequest(path, requestSerialize, responseDeserialize, 'please')
    const received: string[] = []
    const ended = new Promise<{ readonly wire: string }>((resolve) => {
      stream.on('data', (text: string) => received.push(text)).on('error', () => undefined)
      stream.on('status', (final: StatusObject) => resolve({ wire: `${final.code} ${final.details}` }))
    })
    return Promise.resolve({ received, ended })
  }

  close(): void {
    this.#client.close()
  }
}

/** A peer that writes gRPC by hand, over HTTP/2 and a socket of the kit. */
class BarePeer implements Peer {
  readonly #listener: GrpcListener
  readonly #setup: PeerSetup
  #session: Promise<ClientHttp2Session> | undefined

  constructor(listener: GrpcListener, setup: PeerSetup) {
    this.#listener = listener
    this.#setup = setup
  }

  async call(operation: string): Promise<Observed> {
    const exchange = new Exchange(await this.#open(`/test.${operation}/call`, fieldsOf(this.#setup.carriers)))
    return observed(await exchange.ended, exchange.received[0])
  }

  async live(operation: string): Promise<Live> {
    const name = 'a-stream-of-the-bare-peer'
    const exchange = new Exchange(await this.#open(`/test.${operation}/follow`, { ...fieldsOf(this.#setup.carriers), [renewalKey]: name }))
    return {
      received: exchange.received,
      ended: exchange.ended.then(
        ({ code, details }) => ({ wire: `${code} ${details}` }),
        () => ({ wire: '' }),
      ),
      reauthenticate: async (carriers) => {
        const renewal = new Exchange(await this.#open(renewalPath, { ...fieldsOf(carriers), [renewalKey]: name }))
        return observed(await renewal.ended)
      },
    }
  }

  async close(): Promise<void> {
    await this.#session?.then((session) => session.destroy()).catch(() => undefined)
  }

  async #open(path: string, fields: OutgoingHttpHeaders): Promise<ClientHttp2Stream> {
    this.#session ??= connectBare(this.#setup, this.#listener.port, ['h2']).then((socket) => {
      const session = connect('https://localhost', { createConnection: () => socket })
      return session.on('error', () => undefined)
    })
    const session = await this.#session
    const stream = session.request({ ':method': 'POST', ':path': path, 'content-type': 'application/grpc', te: 'trailers', ...fields })
    // One message, of one byte or of none.
    stream.end(path === renewalPath ? Buffer.alloc(5) : Buffer.from([0, 0, 0, 0, 1, 120]))
    return stream
  }
}

const codes: ReadonlyMap<number, status> = new Map(
  Object.values(status).flatMap((code) => (typeof code === 'number' ? [[code, code]] : [])),
)

/** What came back on one stream. */
class Exchange {
  readonly received: string[] = []
  readonly ended: Promise<StatusObject>

  constructor(stream: ClientHttp2Stream) {
    const metadata = new Metadata()
    let rest = Buffer.alloc(0)
    const take = (fields: object): void => {
      for (const [key, value] of Object.entries(fields)) if (!key.startsWith(':')) metadata.set(key, String(value))
    }
    stream.on('response', take).on('trailers', take)
    stream.on('data', (data: Buffer) => {
      rest = Buffer.concat([rest, data])
      while (rest.length >= 5 && rest.length >= 5 + rest.readUInt32BE(1)) {
        const length = 5 + rest.readUInt32BE(1)
        this.received.push(rest.subarray(5, length).toString())
        rest = rest.subarray(length)
      }
    })
    this.ended = new Promise((resolve, reject) => {
      stream.on('error', reject).on('close', () => {
        const [code] = metadata.get('grpc-status')
        if (code === undefined) reject(new Error('The stream ended without a status.'))
        else
          resolve({
            code: codes.get(Number(code)) ?? status.UNKNOWN,
            details: decodeURI(String(metadata.get('grpc-message')[0] ?? '')),
            metadata,
          })
      })
    })
    // Whoever waits for it is told; nobody has to.
    this.ended.catch(() => undefined)
  }
}

function fieldsOf(carriers: readonly Carrier[]): OutgoingHttpHeaders {
  const fields: OutgoingHttpHeaders = {}
  for (const { text, place, proof, credential } of carriers) {
    if (place === 'second') fields['x-access-token'] = credential?.kind === 'bearer' ? credential.token.reveal() : text
    else fields['authorization'] = text
    if (proof !== undefined) fields['dpop'] = proof
  }
  return fields
}

function observed({ code, details, metadata }: StatusObject | ServiceError, answer?: string): Observed {
  const outcome = outcomes[code] ?? 'closed'
  const challenges = metadata.get('www-authenticate').map(String)
  return {
    outcome,
    ...(outcome === 'allowed' && answer !== undefined && { answer }),
    challenges,
    wire: `${code} ${details} ${JSON.stringify(metadata)} ${answer}`,
  }
}

await describeConformance('grpc', harness)
