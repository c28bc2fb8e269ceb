/**
 * The far end of a measurement, in a process of its own, so that the server's processor time is the server's alone.
 * Opens connections once and keeps them; sends requests when it is told to, one at a time on each HTTP/1.1 connection.
 */
import { connect as connectSession, type ClientHttp2Session } from 'node:http2'
import { connect, type TLSSocket } from 'node:tls'

/** Opens the connections to one contender: the request's fields differ by connection. */
export interface OpenMessage {
  readonly type: 'open'
  readonly id: number
  readonly version: 'http/1.1' | 'h2'
  readonly port: number
  readonly authority: string
  readonly path: string
  readonly fields: readonly Readonly<Record<string, string>>[]
}
/** Sends so many requests and answers when all are answered. */
export interface RunMessage {
  readonly type: 'run'
  readonly id: number
  readonly count: number
}

interface Lane {
  /** Sends one request; resolves when it was answered with 200. */
  send(): Promise<void>
}

const lanes = new Map<number, readonly Lane[]>()

process.on('message', (message: OpenMessage | RunMessage) => {
  const work = message.type === 'open' ? open(message) : run(message)
  work.then(
    () => process.send?.({ id: message.id }),
    (error: unknown) => process.send?.({ id: message.id, error: String(error) }),
  )
})

async function open({ id, version, port, authority, path, fields }: OpenMessage): Promise<void> {
  lanes.set(
    id,
    version === 'h2'
      ? await overHttp2(port, authority, path, fields)
      : await Promise.all(fields.map((own) => overHttp1(port, authority, path, own))),
  )
}

async function run({ id, count }: RunMessage): Promise<void> {
  let left = count
  const drain = async (lane: Lane): Promise<void> => {
    while (left-- > 0) await lane.send()
  }
  await Promise.all((lanes.get(id) ?? []).map(drain))
}

async function overHttp1(port: number, authority: string, path: string, fields: Readonly<Record<string, string>>): Promise<Lane> {
  const socket: TLSSocket = connect({ port, host: '127.0.0.1', servername: 'localhost', ca: authority, ALPNProtocols: ['http/1.1'] })
  await new Promise((resolve, reject) => socket.once('secureConnect', resolve).once('error', reject))
  socket.setNoDelay(true)
  const text = Buffer.from(
    `GET ${path} HTTP/1.1\r\nHost: localhost:${port}\r\n${Object.entries(fields)
      .map(([name, value]) => `${name}: ${value}\r\n`)
      .join('')}\r\n`,
  )
  let expected = 0
  let received = 0
  let head = ''
  let done: (() => void) | undefined
  let failed: ((error: Error) => void) | undefined
  socket.on('data', (data: Buffer) => {
    received += data.byteLength
    if (expected === 0) {
      // The first answer tells how long each is: they differ in nothing but the date, whose length is fixed.
      head += data.toString('latin1')
      const end = head.indexOf('\r\n\r\n')
      if (end === -1) return
      if (!head.startsWith('HTTP/1.1 200')) return failed?.(new Error(head))
      expected = end + 4 + Number(/content-length: (\d+)/i.exec(head)?.[1])
    }
    if (received < expected) return
    received = 0
    done?.()
  })
  socket.on('close', () => failed?.(new Error('The server closed the connection.')))
  return {
    send: () =>
      new Promise((resolve, reject) => {
        if (socket.destroyed) return reject(new Error('The server has closed the connection.'))
        done = resolve
        failed = reject
        socket.write(text)
      }),
  }
}

async function overHttp2(
  port: number,
  authority: string,
  path: string,
  fields: readonly Readonly<Record<string, string>>[],
): Promise<Lane[]> {
  const perSession = 16
  return (
    await Promise.all(
      fields.map(async (own) => {
        const session: ClientHttp2Session = connectSession(`https://localhost:${port}`, { ca: authority, servername: 'localhost' })
        await new Promise((resolve, reject) => session.once('connect', resolve).once('error', reject))
        const lower = Object.fromEntries(Object.entries(own).map(([name, value]) => [name.toLowerCase(), value]))
        return Array.from({ length: perSession }, (): Lane => ({
          send: () =>
            new Promise((resolve, reject) => {
              const stream = session.request({ ':path': path, ...lower })
              stream.on('response', (headers) => headers[':status'] === 200 || reject(new Error(String(headers[':status']))))
              stream.on('error', reject).on('end', resolve).resume()
            }),
        }))
      }),
    )
  ).flat()
}
