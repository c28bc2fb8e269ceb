import type { ConnectionOptions, SASLOptions } from '@platformatic/kafka'
import { TLSSocket } from 'node:tls'
import { isCredentialRefusal } from '../diagnose.ts'
import { SaslClient, type SaslOptions } from '../present.ts'

type SaslAuthenticateResponse = Parameters<Parameters<NonNullable<SASLOptions['authenticate']>>[6]>[1]

/** When a session is renewed, as parts of its life; Java's client has the same. Many clients that were connected at once do not come back at once. */
export const renewalWindow = [0.85, 0.95] as const
// What the library multiplies a session's life with to set its timer.
const libraryShare = 0.8

/**
 * The SASL options of a `Producer`, `Consumer` or `Admin` of `@platformatic/kafka`, to spread into its options. The source is
 * asked at each connection and at each re-authentication (KIP-368), which comes at 85 to 95 % of the session's life.
 * Nothing is sent over a connection without TLS, or to a broker that was not verified.
 */
export function sasl(options: SaslOptions): { readonly sasl: SASLOptions } {
  return saslOf(new SaslClient(options))
}

/** @internal */
export function saslOf(client: SaslClient, random: () => number = Math.random): { readonly sasl: NonNullable<ConnectionOptions['sasl']> } {
  return {
    sasl: {
      mechanism: client.mechanism,
      authenticate: (_mechanism, connection, api, _username, _password, _token, callback) => {
        let last: SaslAuthenticateResponse | undefined
        const exchange = (message: Buffer): Promise<Buffer> =>
          new Promise((resolve, reject) => {
            api(connection, message, (error, response) => {
              if (error || response === undefined) return reject(error ?? new Error('no answer'))
              last = response
              resolve(response.authBytes)
            })
          })
        const { socket } = connection
        const answer = async (): Promise<SaslAuthenticateResponse> => {
          await client.authenticate(socket instanceof TLSSocket && socket.authorized, exchange, isCredentialRefusal)
          if (last === undefined) throw new Error('The mechanism has exchanged nothing.')
          const [from, to] = renewalWindow
          const share = (from + random() * (to - from)) / libraryShare
          return { ...last, sessionLifetimeMs: BigInt(Math.floor(Number(last.sessionLifetimeMs) * share)) }
        }
        answer().then(
          (response) => callback(null, response),
          (error: Error) => callback(error, undefined as never),
        )
      },
    },
  }
}
