/**
 * The far end of a measurement, in a process of its own, so that the server's processor time is the server's alone. It
 * speaks WebSocket by hand: handshakes and frames are made once, and answers are counted and not read.
 */
import { connect as connectPlain, type Socket } from 'node:net'
import { connect, type TLSSocket } from 'node:tls'

/** Where, and with which fields; those differ by connection. */
interface Way {
  readonly id: number
  readonly port: number
  /** The authority of the server's certificate; empty for a plain port. */
  readonly authority: string
  readonly fields: readonly Readonly<Record<string, string>>[]
}
/** Opens and closes so many WebSockets, eight at a time. */
export interface UpgradeMessage extends Way {
  readonly type: 'upgrade'
  readonly count: number
}
/** Opens so many WebSockets and keeps them. */
export interface OpenMessage extends Way {
  readonly type: 'open'
  readonly count: number
}
/** Sends so many messages over what was opened, eight in one packet, and waits until all came back. */
export interface EchoMessage {
  readonly type: 'echo'
  readonly id: number
  readonly count: number
}
/** What can be asked for. */
export type LoadMessage = UpgradeMessage | OpenMessage | EchoMessage

const lanes = new Map<number, readonly (TLSSocket | Socket)[]>()
const inOnePacket = 8
const text = '{"type":"order","id":4711,"state":"shipped","at":"2026-01-01T00:00:00Z","by":"courier","note":"left at the door"}'
// A client's frame is masked (RFC 6455 section 5.3), here with zeros; the server's is not.
const frame = Buffer.concat([Buffer.from([0x81, 0x80 | text.length, 0, 0, 0, 0]), Buffer.from(text)])
const packet = Buffer.concat(Array.from({ length: inOnePacket }, () => frame))
const echoedBytes = inOnePacket * (text.length + 2)

process.on('message', (message: LoadMessage) => {
  work(message).then(
    () => process.send?.({ id: message.id }),
    (error: unknown) => process.send?.({ id: message.id, error: String(error) }),
  )
})

async function work(message: LoadMessage): Promise<void> {
  switch (message.type) {
    case 'upgrade':
      return each(message.count, 8, async (at) => void (await open(message, at)).destroy())
    case 'open': {
      const opened: (TLSSocket | Socket)[] = []
      await each(message.count, 32, async (at) => void opened.push(await open(message, at)))
      return void lanes.set(message.id, opened)
    }
    case 'echo': {
      const own = lanes.get(message.id) ?? []
      let left = message.count / inOnePacket
      const drain = async (socket: TLSSocket | Socket): Promise<void> => {
        while (left-- > 0) await echo(socket)
      }
      return void (await Promise.all(own.map(drain)))
    }
  }
}

async function each(count: number, atOnce: number, task: (at: number) => Promise<void>): Promise<void> {
  let at = 0
  const lane = async (): Promise<void> => {
    while (at < count) await task(at++)
  }
  await Promise.all(Array.from({ length: atOnce }, lane))
}

function open({ port, authority, fields }: Way, at: number): Promise<TLSSocket | Socket> {
  return new Promise((resolve, reject) => {
    const secure = authority !== ''
    const socket = secure ? connect({ port, host: '127.0.0.1', servername: 'localhost', ca: authority }) : connectPlain(port, '127.0.0.1')
    const own = Object.entries(fields[at % fields.length] ?? {}).map(([name, value]) => `${name}: ${value}\r\n`)
    const key = 'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n'
    socket.once(secure ? 'secureConnect' : 'connect', () => {
      socket.setNoDelay(true)
      socket.write(
        `GET /feed HTTP/1.1\r\nHost: localhost:${port}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n${key}${own.join('')}\r\n`,
      )
    })
    socket.once('error', reject)
    socket.once('data', (data: Buffer) => {
      const head = data.toString('latin1')
      if (head.startsWith('HTTP/1.1 101 ')) resolve(socket)
      else reject(new Error(head))
    })
  })
}

function echo(socket: TLSSocket | Socket): Promise<void> {
  return new Promise((resolve) => {
    let left = echoedBytes
    const take = (data: Buffer): void => {
      left -= data.byteLength
      if (left > 0) return
      socket.off('data', take)
      resolve()
    }
    socket.on('data', take)
    socket.write(packet)
  })
}
