/** What the tests of this package share: two small mechanisms, and raw sockets for what no client would send. */
import { request as nodeRequest } from 'node:https'
import { connect } from 'node:tls'
import {
  authenticator,
  credentialOf,
  notMine,
  refused,
  secret,
  UnavailableError,
  vouchForPrincipal,
  type Authenticator,
  type CredentialSource,
  type Secret,
} from '@portcullis/core'
import { secureClientOptions, type ClientTlsBundle } from '@portcullis/tls'

/** Bearer tokens by name: `alice`, `bob` (without scopes), `expired`; `down` stands for an outage, `busy` for overload, `broken` for a fault. */
export const tokens: Authenticator = authenticator(
  'tokens',
  (request) => {
    const token = credentialOf(request.credentials, 'bearer')?.token.reveal()
    if (token === undefined) return notMine
    if (token === 'down') throw new UnavailableError('ERR_TEST_DOWN', { message: 'down', retryAfterMs: 7_000 })
    if (token === 'busy') throw new UnavailableError('ERR_TEST_BUSY', { message: 'busy', reason: 'overload' })
    if (token === 'broken') throw new TypeError('secret details of the inside')
    if (token === 'expired') return refused('ERR_TEST_EXPIRED')
    if (token.startsWith('alice')) return vouchForPrincipal({ issuer: 'tests', subject: 'alice', scopes: ['orders:read'] })
    if (token === 'bob') return vouchForPrincipal({ issuer: 'tests', subject: 'bob' })
    return refused('ERR_TEST_UNKNOWN')
  },
  [{ scheme: 'Bearer', parameters: { realm: 'tests' } }],
)

/** Basic credentials: any user whose password is `secret`. */
export const passwords: Authenticator = authenticator(
  'passwords',
  (request) => {
    const basic = credentialOf(request.credentials, 'basic')
    if (basic === undefined) return notMine
    return basic.password.equals('secret')
      ? vouchForPrincipal({ issuer: 'users', subject: basic.username, scopes: ['orders:read'] })
      : refused('ERR_TEST_PASSWORD')
  },
  [{ scheme: 'Basic', parameters: { realm: 'tests', charset: 'UTF-8' } }],
)

/** A source that always yields this bearer token. */
export function bearer(token: string | Secret): CredentialSource {
  return () => ({ credential: { kind: 'bearer', carrier: 'authorization', token: secret(token) } })
}

/** Sends bytes as they are over TLS and gives back all that comes, until the peer closes or is silent for a while. */
export function raw(port: number, tls: ClientTlsBundle, bytes: string, quietMs = 400): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect({ ...secureClientOptions(tls, { host: 'localhost', alpn: ['http/1.1'] }), port })
    let text = ''
    let timer: NodeJS.Timeout | undefined
    const done = (): void => {
      clearTimeout(timer)
      socket.destroy()
      resolve(text)
    }
    const wait = (): void => {
      clearTimeout(timer)
      timer = setTimeout(done, quietMs)
    }
    socket.on('secureConnect', () => {
      socket.write(bytes)
      timer = setTimeout(done, 5_000)
    })
    socket.on('data', (data) => {
      text += data.toString('latin1')
      wait()
    })
    socket.on('close', done)
    socket.on('error', (error) => (text === '' ? reject(error) : done()))
  })
}

/** The status of an answer as bytes. */
export function statusOf(answer: string): number {
  return Number(/^HTTP\/1\.1 (\d{3})/.exec(answer)?.[1] ?? 0)
}

/** One request without any client of ours. */
export function ask(
  port: number,
  tls: ClientTlsBundle,
  init: {
    readonly method?: string
    readonly path?: string
    readonly headers?: Record<string, string | string[]>
    readonly body?: string
  } = {},
): Promise<{ status: number; headers: Record<string, string | string[] | undefined>; text: string; rawHeaders: string[] }> {
  return new Promise((resolve, reject) => {
    const outgoing = nodeRequest(
      {
        ...secureClientOptions(tls, { host: 'localhost' }),
        port,
        method: init.method ?? 'GET',
        path: init.path ?? '/',
        headers: init.headers ?? {},
        agent: false,
      },
      (incoming) => {
        let text = ''
        incoming
          .setEncoding('utf8')
          .on('data', (chunk: string) => (text += chunk))
          .on('error', reject)
        incoming.on('end', () =>
          resolve({ status: incoming.statusCode ?? 0, headers: incoming.headers, text, rawHeaders: incoming.rawHeaders }),
        )
      },
    )
    outgoing.on('error', reject).end(init.body)
  })
}
