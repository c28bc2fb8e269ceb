import { ConfigurationError, requireNumber } from '@portcullis/core'
import type { AuthenticationProviderArgs, Mechanism } from 'kafkajs'
import { diagnose, isCredentialRefusal } from '../diagnose.ts'
import type { Exchange } from '../scram.ts'
import { SaslClient, type SaslOptions } from '../present.ts'
import { isSecured, type Secured } from './ssl.ts'

/**
 * The `sasl` option of kafkajs's `Kafka`. The source is asked at each connection and at each re-authentication (KIP-368),
 * for which see {@link sessionOptions}. `over` is what `ssl` made for the same `Kafka`: without a connection of it nothing is sent.
 */
export function sasl(options: SaslOptions & { readonly over: Secured }): Mechanism {
  const { over, ...rest } = options
  if (typeof over?.socketFactory !== 'function')
    throw new ConfigurationError('ERR_OPTION_MISSING', 'sasl: over is required; it is what ssl() has made for the same Kafka.')
  return saslOf(new SaslClient(rest), over)
}

/** @internal */
export function saslOf(client: SaslClient, over: Secured): Mechanism {
  return {
    mechanism: client.mechanism,
    authenticationProvider: (broker) => ({
      async authenticate() {
        try {
          await client.authenticate(isSecured(over.socketFactory, broker.host, broker.port), exchangeWith(broker), isCredentialRefusal)
        } catch (error) {
          // The library would begin anew on the same connection, which no broker allows; and it keeps nothing but the cause.
          throw Object.assign(new Error('The connection was not authenticated.', { cause: diagnose(error) }), { retriable: false })
        }
      },
    }),
  }
}

function exchangeWith(broker: AuthenticationProviderArgs): Exchange {
  return async (message) => {
    // The library writes SASL's bytes with their length before them and reads them the same way.
    const framed = Buffer.alloc(4 + message.length)
    framed.writeInt32BE(message.length)
    message.copy(framed, 4)
    const answer = await broker.saslAuthenticate<Buffer>({
      request: { encode: () => framed },
      response: { decode: (raw) => raw.subarray(4), parse: (raw) => raw },
    })
    return answer ?? Buffer.alloc(0)
  }
}

/** Options of kafkajs that depend on the life of a session, to spread into those of `Kafka` and of its consumers. */
export interface SessionOptions {
  readonly kafka: { readonly reauthenticationThreshold: number }
  readonly consumer: { readonly maxWaitTimeInMs: number }
}

/**
 * The library re-authenticates when it is about to send and the rest of the session is shorter than a threshold. This sets it
 * to 11 to 15 % of the session, and the longest wait of a fetch below that, so that a fetch never outlasts the session.
 *
 * What is left: a request that was encoded before the threshold and is written after the re-authentication has begun
 * would be refused with the connection; it is then repeated on a new one.
 */
export function sessionOptions(sessionMs: number, random: () => number = Math.random): SessionOptions {
  requireNumber('sessionOptions: sessionMs', sessionMs, { min: 1_500, max: 30 * 86_400_000 })
  return {
    kafka: { reauthenticationThreshold: Math.floor(sessionMs * (0.11 + random() * 0.04)) },
    consumer: { maxWaitTimeInMs: Math.min(longestWaitMs, Math.floor(sessionMs / 10)) },
  }
}

// As in Java's client.
const longestWaitMs = 500
