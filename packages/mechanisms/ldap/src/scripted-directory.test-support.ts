import { secureServerOptions, type ServerTlsBundle } from '@portcullis/tls'
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net'
import { createServer as createTlsServer, TLSSocket } from 'node:tls'

/** One request as a directory sees it. */
export interface Asked {
  /** Counts connections, from 0. */
  readonly connection: number
  readonly id: number
  readonly what: 'bind' | 'search' | 'unbind' | 'startTls' | 'other'
  /** The name of a bind, the base of a search. */
  readonly name: string
  readonly password: string
}

/** What it does: sends these bytes, ends the connection after them, or keeps silent. */
export type Reply = Buffer | { readonly thenEnd: Buffer } | 'silence'

function element(tag: number, ...parts: readonly (Buffer | string)[]): Buffer {
  const content = Buffer.concat(parts.map((part) => Buffer.from(part)))
  const length = content.length < 0x80 ? Buffer.from([content.length]) : Buffer.from([0x84, ...uint32(content.length)])
  return Buffer.concat([Buffer.from([tag]), length, content])
}
const uint32 = (value: number): number[] => [24, 16, 8, 0].map((shift) => (value >>> shift) & 0xff)
const integer = (value: number): Buffer => element(0x02, Buffer.from(uint32(value)))
const result = (tag: number, code: number, ...more: Buffer[]): Buffer =>
  element(tag, element(0x0a, Buffer.from([code])), element(0x04, ''), element(0x04, ''), ...more)

/** The answers of RFC 4511, as bytes. */
export const answer = {
  bind: (id: number, code = 0): Buffer => element(0x30, integer(id), result(0x61, code)),
  entry: (id: number, dn: string, attribute: string, ...values: string[]): Buffer =>
    element(
      0x30,
      integer(id),
      element(
        0x64,
        element(0x04, dn),
        element(0x30, element(0x30, element(0x04, attribute), element(0x31, ...values.map((value) => element(0x04, value))))),
      ),
    ),
  done: (id: number, code = 0): Buffer => element(0x30, integer(id), result(0x65, code)),
  reference: (id: number, uri: string): Buffer => element(0x30, integer(id), element(0x73, element(0x04, uri))),
  extended: (id: number, code = 0): Buffer => element(0x30, integer(id), result(0x78, code)),
}

/** A directory that does as it is told, to show what others would never do. It sees who asks what on which connection. */
export class ScriptedDirectory implements AsyncDisposable {
  readonly asked: Asked[] = []
  readonly #server: Server
  readonly #sockets = new Set<Socket>()
  #connections = 0

  private constructor(server: Server) {
    this.#server = server
  }

  /** Listens with TLS from the first byte, or in the clear until it has agreed to StartTLS. */
  static async listen(tls: ServerTlsBundle, begins: 'ldaps' | 'ldap', script: (asked: Asked) => Reply): Promise<ScriptedDirectory> {
    const serve = (socket: Socket): void => directory.#serve(socket, tls, script)
    const server = begins === 'ldaps' ? createTlsServer(secureServerOptions(tls), serve) : createServer(serve)
    const directory = new ScriptedDirectory(server)
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    return directory
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port
  }

  /** Ends every connection at once. */
  drop(): void {
    for (const socket of this.#sockets) socket.destroy()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.drop()
    await new Promise((resolve) => this.#server.close(resolve))
  }

  #serve(socket: Socket, tls: ServerTlsBundle, script: (asked: Asked) => Reply, connection = this.#connections++): void {
    this.#sockets.add(socket)
    let received = Buffer.alloc(0)
    const onData = (data: Buffer): void => {
      received = Buffer.concat([received, data])
      for (let request = takeMessage(received); request !== undefined; request = takeMessage(received)) {
        received = received.subarray(request.length)
        const asked = { connection, ...read(request) }
        this.asked.push(asked)
        const reply = script(asked)
        if (reply === 'silence') continue
        if (!Buffer.isBuffer(reply)) return void socket.end(reply.thenEnd)
        socket.write(reply)
        if (asked.what === 'startTls' && reply.equals(answer.extended(asked.id))) {
          socket.off('data', onData)
          this.#serve(new TLSSocket(socket, { isServer: true, ...secureServerOptions(tls) }), tls, script, connection)
        }
      }
    }
    socket.on('data', onData).on('error', () => undefined)
  }
}

function takeMessage(bytes: Buffer): Buffer | undefined {
  const first = bytes[1]
  if (first === undefined) return undefined
  const size = first < 0x80 ? 0 : first - 0x80
  if (bytes.length < 2 + size) return undefined
  const length = 2 + size + (size === 0 ? first : bytes.readUIntBE(2, size))
  return bytes.length < length ? undefined : bytes.subarray(0, length)
}

const operations: Readonly<Record<number, Asked['what']>> = { 0x60: 'bind', 0x63: 'search', 0x42: 'unbind', 0x77: 'startTls' }

function read(message: Buffer): Omit<Asked, 'connection'> {
  const [id, operation] = elementsIn(elementsIn(message)[0]?.content ?? message)
  const parts = operation === undefined || operation.tag === 0x42 ? [] : elementsIn(operation.content)
  const what = operations[operation?.tag ?? 0] ?? 'other'
  const [first, second, third] = parts.map(({ content }) => content.toString('utf8'))
  return {
    id: id === undefined ? 0 : id.content.readIntBE(0, id.content.length),
    what,
    name: (what === 'bind' ? second : first) ?? '',
    password: (what === 'bind' ? third : '') ?? '',
  }
}

function elementsIn(bytes: Buffer): { readonly tag: number; readonly content: Buffer }[] {
  const found = []
  for (let rest = bytes; rest.length > 1;) {
    const one = takeMessage(rest)
    if (one === undefined) break
    const size = (one[1] ?? 0) < 0x80 ? 0 : (one[1] ?? 0) - 0x80
    found.push({ tag: one[0] ?? 0, content: one.subarray(2 + size) })
    rest = rest.subarray(one.length)
  }
  return found
}
