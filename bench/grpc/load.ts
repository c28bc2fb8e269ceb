/**
 * The far end of a measurement, in a process of its own, so that the server's processor time is the server's alone. It
 * writes gRPC by hand on HTTP/2: eight connections, sixteen calls at a time on each.
 */
import { connect, type ClientHttp2Session } from 'node:http2'

/** Opens the connections to one contender. */
export interface OpenMessage {
  readonly type: 'open'
  readonly id: number
  readonly port: number
  readonly authority: string
  readonly path: string
  /** One for each connection. */
  readonly tokens: readonly string[]
}
/** Makes so many calls and answers when all have ended. */
export interface RunMessage {
  readonly type: 'run'
  readonly id: number
  readonly count: number
}

type Lane = () => Promise<void>
const callsAtATime = 16
// One message of three bytes.
const request = Buffer.from([0, 0, 0, 0, 3, 97, 98, 99])
const lanes = new Map<number, readonly Lane[]>()

process.on('message', (message: OpenMessage | RunMessage) => {
  const work = message.type === 'open' ? open(message) : run(message)
  work.then(
    () => process.send?.({ id: message.id }),
    (error: unknown) => process.send?.({ id: message.id, error: String(error) }),
  )
})

async function open({ id, port, authority, path, tokens }: OpenMessage): Promise<void> {
  const perConnection = await Promise.all(
    tokens.map(async (token) => {
      const session: ClientHttp2Session = connect(`https://localhost:${port}`, { ca: authority, servername: 'localhost' })
      await new Promise((resolve, reject) => session.once('connect', resolve).once('error', reject))
      const fields = {
        ':method': 'POST',
        ':path': path,
        'content-type': 'application/grpc',
        te: 'trailers',
        authorization: `Bearer ${token}`,
      }
      const lane: Lane = () =>
        new Promise((resolve, reject) => {
          const stream = session.request(fields)
          let status: unknown
          stream.on('response', (headers) => (status ??= headers['grpc-status']))
          stream.on('trailers', (headers) => (status ??= headers['grpc-status']))
          stream
            .on('error', reject)
            .on('close', () => (Number(status) === 0 ? resolve() : reject(new Error(`grpc-status ${String(status)}`))))
          stream.resume().end(request)
        })
      return Array.from({ length: callsAtATime }, () => lane)
    }),
  )
  lanes.set(id, perConnection.flat())
}

async function run({ id, count }: RunMessage): Promise<void> {
  let left = count
  const drain = async (lane: Lane): Promise<void> => {
    while (left-- > 0) await lane()
  }
  await Promise.all((lanes.get(id) ?? []).map(drain))
}
