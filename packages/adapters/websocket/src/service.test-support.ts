/** What the tests of this package share: a small mechanism, bare peers on `ws`, and raw sockets for what no client would send. */
import { connect as connectSecure, type TLSSocket } from 'node:tls'
import type { IncomingMessage } from 'node:http'
import {
  authenticator,
  credentialOf,
  notMine,
  refused,
  Revocation,
  secret,
  UnavailableError,
  vouchForPrincipal,
  type Authenticator,
  type CredentialSource,
} from '@portcullis/core'
import { secureClientOptions, type ClientTlsBundle } from '@portcullis/tls'
import { WebSocket } from 'ws'
import { contentOf, readListenerFrame, sessionField, sessionProtocol, writeFrame, type ListenerFrame } from './session-frame.ts'

/** What revokes the principals of {@link tokens}, by subject. */
export const revocations = new Map<string, Revocation>()

/** How judging can be held up: `slow` tokens wait for it. */
export const gate = { open: Promise.resolve() }

/**
 * Bearer tokens by name: `alice`, `bob` (without scopes), `alice-<n>` for another of alice's that lasts n seconds from
 * `nowMs`; `slow` waits for the gate; `down` and `broken` stand for an outage and a fault.
 */
export function tokens(nowMs: () => number = Date.now): Authenticator {
  return authenticator(
    'tokens',
    async (request) => {
      const token = credentialOf(request.credentials, 'bearer')?.token.reveal()
      if (token === undefined) return notMine
      if (token === 'slow') await gate.open
      if (token === 'down') throw new UnavailableError('ERR_TEST_DOWN', { message: 'down', retryAfterMs: 7_000 })
      if (token === 'broken') throw new TypeError('secret details of the inside')
      const [subject = '', seconds] = token.replace('slow', 'alice').split('-')
      if (subject !== 'alice' && subject !== 'bob') return refused('ERR_TEST_UNKNOWN')
      const revocation = revocations.get(subject) ?? new Revocation()
      revocations.set(subject, revocation)
      return vouchForPrincipal({
        issuer: 'tests',
        subject,
        scopes: subject === 'alice' ? ['orders:read'] : [],
        revocations: [revocation],
        ...(seconds !== undefined && { expiresAt: new Date(nowMs() + Number(seconds) * 1000) }),
      })
    },
    [{ scheme: 'Bearer', parameters: { realm: 'tests' } }],
  )
}

/** A source that yields these tokens, one after another, and the last of them from then on; keeps what it was asked. */
export function bearers(...names: [string, ...string[]]): {
  readonly source: CredentialSource
  readonly asked: Parameters<CredentialSource>[0][]
} {
  const asked: Parameters<CredentialSource>[0][] = []
  const left = [...names]
  const source: CredentialSource = (request) => {
    asked.push(request)
    const name = left.length > 1 ? left.shift() : left[0]
    return { credential: { kind: 'bearer', carrier: 'authorization', token: secret(name ?? '') } }
  }
  return { source, asked }
}

/** A peer on bare `ws`. */
export interface Peer {
  readonly socket: WebSocket
  /** What came, the session's frames apart. */
  readonly messages: string[]
  readonly frames: ListenerFrame[]
  readonly tag: string
  /** How it was closed: code and text. */
  readonly closed: Promise<string>
  authenticate(authorization: string): void
}

/** How a peer comes. */
export interface PeerInit {
  readonly token?: string
  readonly headers?: Record<string, string>
  readonly protocols?: string[]
}

/** Opens a bare peer; rejects with the status of the answer and its fields if it is refused. */
export function open(
  port: number,
  tls: ClientTlsBundle,
  path: string,
  { token, headers = {}, protocols = [] }: PeerInit = {},
): Promise<Peer> {
  return new Promise((resolve, reject) => {
    const authorization = token === undefined ? {} : { authorization: `Bearer ${token}` }
    const socket = new WebSocket(`wss://localhost:${port}${path}`, protocols, {
      ...secureClientOptions(tls, { host: 'localhost' }),
      headers: { ...(!protocols.includes(sessionProtocol) && { [sessionField]: '1' }), ...authorization, ...headers },
    })
    const [messages, frames]: [string[], ListenerFrame[]] = [[], []]
    const closed = Promise.withResolvers<string>()
    let tag = ''
    socket.on('upgrade', ({ headers: fields }: IncomingMessage) => (tag = String(fields[sessionField] ?? '')))
    socket.on('message', (data: Buffer) => {
      // A browser learns the tag from the first frame.
      if (tag === '' && protocols.includes(sessionProtocol)) tag = data.toString().split(' ')[0] ?? ''
      const content = tag === '' ? undefined : contentOf(tag, data)
      const frame = content === undefined ? undefined : readListenerFrame(content)
      if (frame === undefined) messages.push(data.toString())
      else frames.push(frame)
    })
    socket.on('close', (code, reason) => closed.resolve(`${code} ${reason.toString()}`.trim()))
    socket.on('error', reject)
    socket.on('unexpected-response', (_request, response: IncomingMessage) => {
      response.destroy()
      reject(new Error(String(response.statusCode)))
    })
    const authenticate = (text: string): void => socket.send(writeFrame(tag, { type: 'authenticate', authorization: text }))
    socket.on('open', () =>
      resolve({
        socket,
        messages,
        frames,
        closed: closed.promise,
        authenticate,
        get tag() {
          return tag
        },
      }),
    )
  })
}

/** The fields of a sound handshake, but for what is given. */
export function handshake(fields: Record<string, string | undefined>, path = '/'): string {
  const all: Record<string, string | undefined> = {
    Host: 'localhost',
    Connection: 'Upgrade',
    Upgrade: 'websocket',
    'Sec-WebSocket-Version': '13',
    'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ==',
    ...fields,
  }
  const lines = Object.entries(all).flatMap(([name, value]) => (value === undefined ? [] : [`${name}: ${value}`]))
  return `GET ${path} HTTP/1.1\r\n${lines.join('\r\n')}\r\n\r\n`
}

/** Sends bytes as they are over TLS, and gives back all that comes until the peer closes or is silent for a while. */
export function raw(port: number, tls: ClientTlsBundle, bytes: string, quietMs = 250): Promise<string> {
  return new Promise((resolve) => {
    const socket = connectSecure({ ...secureClientOptions(tls, { host: 'localhost' }), port })
    let text = ''
    let timer: NodeJS.Timeout | undefined
    const done = (): void => {
      clearTimeout(timer)
      socket.destroy()
      resolve(text)
    }
    socket.on('secureConnect', () => socket.write(bytes, 'latin1'))
    socket.on('data', (data) => {
      text += data.toString('latin1')
      clearTimeout(timer)
      timer = setTimeout(done, quietMs)
    })
    socket.on('close', done).on('error', done)
  })
}

/** A peer on a bare socket that is open and reads no further. */
export async function slowPeer(port: number, tls: ClientTlsBundle, token: string): Promise<TLSSocket> {
  const wire = connectSecure({ ...secureClientOptions(tls, { host: 'localhost' }), port })
  wire.on('error', () => undefined)
  wire.write(handshake({ Authorization: `Bearer ${token}` }))
  await new Promise<void>((resolve) => wire.once('data', () => resolve()))
  wire.pause()
  return wire
}

/** Waits until something holds. */
export async function until(holds: () => boolean): Promise<void> {
  for (let tries = 0; !holds(); tries++) {
    if (tries > 500) throw new Error('It did not happen.')
    await new Promise((resolve) => setTimeout(resolve, 4))
  }
}
