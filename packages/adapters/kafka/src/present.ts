import {
  AuthenticationError,
  checkOptions,
  ConfigurationError,
  isExhausted,
  requireFunction,
  requireText,
  sameCredential,
  systemClock,
  type Clock,
  type Credential,
  type CredentialSource,
  type Target,
} from '@portcullis/core'
import type { KafkaErrorCode } from './errors.ts'
import { scram, type Exchange } from './scram.ts'

/** A SASL mechanism that Kafka knows and this package speaks. */
export type SaslMechanism = 'PLAIN' | 'SCRAM-SHA-256' | 'SCRAM-SHA-512' | 'OAUTHBEARER'

/** What a client presents to its brokers. */
export interface SaslOptions {
  readonly mechanism: SaslMechanism
  /** Yields user name and password, or for OAUTHBEARER a bearer token. Asked at every connection and every re-authentication. */
  readonly source: CredentialSource
  /** The cluster as target of the source, `kafka://broker.example:9094`. A cluster is one party, so all its brokers are asked for by this name. */
  readonly origin: string
  /** What goes along with the token (RFC 7628 section 3.1, KIP-342), such as `logicalCluster`. Only for OAUTHBEARER. */
  readonly extensions?: Readonly<Record<string, string>>
  readonly clock?: Clock
}

/** How long a credential that was refused is not sent again: brokers lock accounts, and libraries repeat what failed. */
export const refusedForMs = 30_000

/** Authenticates one connection after another with what the source yields at that moment. */
export class SaslClient {
  readonly mechanism: SaslMechanism
  readonly #source: CredentialSource
  readonly #target: Target
  readonly #extensions: Readonly<Record<string, string>>
  readonly #clock: Clock
  #refused: { readonly credential: Credential; readonly atMs: number } | undefined

  constructor(options: SaslOptions) {
    checkOptions<SaslOptions>('sasl', options, { mechanism: true, source: true, origin: true, extensions: true, clock: true })
    const { mechanism, source, origin, extensions, clock = systemClock } = options
    if (!Object.hasOwn(forms, mechanism))
      throw new ConfigurationError('ERR_OPTION_INVALID', `sasl: mechanism must be one of ${Object.keys(forms).join(', ')}.`)
    if (extensions !== undefined && mechanism !== 'OAUTHBEARER')
      throw new ConfigurationError('ERR_OPTION_INVALID', 'sasl: only OAUTHBEARER has extensions.')
    this.mechanism = mechanism
    this.#source = requireFunction('sasl: source', source)
    this.#target = { origin: requireText('sasl: origin', origin), secure: true, shared: true }
    this.#extensions = checkExtensions(extensions ?? {})
    this.#clock = clock
  }

  /**
   * Proves the client to one broker. `secure` is a fact of the socket. Rejects with what the source throws, with
   * `ERR_KAFKA_INSECURE` and `ERR_KAFKA_CREDENTIAL` before anything was sent, with `ERR_KAFKA_CREDENTIAL_REFUSED`, and
   * with what `exchange` rejects with for another reason than a refusal, which `isRefusal` tells.
   */
  async authenticate(secure: boolean, exchange: Exchange, isRefusal: (error: unknown) => boolean): Promise<void> {
    if (!secure) throw new ConfigurationError<KafkaErrorCode>('ERR_KAFKA_INSECURE', 'No credential is sent over a connection without TLS.')
    const known = this.#refused
    const refusedLately = known !== undefined && this.#clock.now() - known.atMs < refusedForMs ? known.credential : undefined
    const credential = await this.#credential(refusedLately)
    try {
      await forms[this.mechanism](credential, exchange, this.#extensions)
      this.#refused = undefined
    } catch (error) {
      if (!isRefusal(error)) throw error
      this.#refused = { credential, atMs: this.#clock.now() }
      throw refusedError(error)
    }
  }

  async #credential(refused: Credential | undefined): Promise<Credential> {
    try {
      const { credential } = await this.#source({ target: this.#target, ...(refused !== undefined && { refused }) })
      if (refused === undefined || !sameCredential(credential, refused)) return credential
    } catch (error) {
      if (!isExhausted(error)) throw error
    }
    throw refusedError(undefined)
  }
}

type Form = (credential: Credential, exchange: Exchange, extensions: Readonly<Record<string, string>>) => Promise<void>

/** The messages of each mechanism. */
const forms: Readonly<Record<SaslMechanism, Form>> = {
  // RFC 4616 section 2.
  PLAIN: async (credential, exchange) => {
    const { username, password } = basic('PLAIN', credential)
    if (/\0/.test(username + password.reveal())) throw formless('PLAIN', 'a name or password with a NUL')
    await exchange(Buffer.from(`\0${username}\0${password.reveal()}`))
  },
  'SCRAM-SHA-256': (credential, exchange) => {
    const { username, password } = basic('SCRAM-SHA-256', credential)
    return scram('sha256', username, password, exchange)
  },
  'SCRAM-SHA-512': (credential, exchange) => {
    const { username, password } = basic('SCRAM-SHA-512', credential)
    return scram('sha512', username, password, exchange)
  },
  // RFC 7628 section 3.1.
  OAUTHBEARER: async (credential, exchange, extensions) => {
    if (credential.kind !== 'bearer') throw formless('OAUTHBEARER', `a credential of kind "${credential.kind}"`)
    const token = credential.token.reveal()
    // RFC 6750 section 2.1; anything else could begin an extension of its own.
    if (!/^[\w\-.~+/]+=*$/.test(token)) throw formless('OAUTHBEARER', 'a token with characters that no bearer token has')
    const pairs = Object.entries(extensions).map(([name, value]) => `\u0001${name}=${value}`)
    const answer = await exchange(Buffer.from(`n,,\u0001auth=Bearer ${token}${pairs.join('')}\u0001\u0001`))
    if (answer.length === 0) return
    // An answer with content is a refusal; the broker says so only after this last message (RFC 7628 section 3.2.3).
    await exchange(Buffer.from('\u0001'))
    throw new AuthenticationError<KafkaErrorCode>('ERR_KAFKA_CREDENTIAL_REFUSED', 'The broker refused the token, and yet went on.')
  },
}

function basic(mechanism: string, credential: Credential): Extract<Credential, { kind: 'basic' }> {
  if (credential.kind === 'basic') return credential
  throw formless(mechanism, `a credential of kind "${credential.kind}"`)
}

function formless(mechanism: string, what: string): ConfigurationError {
  return new ConfigurationError<KafkaErrorCode>('ERR_KAFKA_CREDENTIAL', `${mechanism} has no form for ${what}.`)
}

function refusedError(cause: unknown): AuthenticationError {
  return new AuthenticationError<KafkaErrorCode>('ERR_KAFKA_CREDENTIAL_REFUSED', {
    message:
      cause === undefined
        ? 'The broker refused this credential a moment ago, and the source has no other; it was not sent again.'
        : 'The broker refused the credential.',
    cause,
  })
}

function checkExtensions(extensions: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  for (const [name, value] of Object.entries(extensions)) {
    // RFC 7628 section 3.1: letters for names, printable text for values; `auth` is the token's own.
    if (!/^[A-Za-z]+$/.test(name) || name === 'auth' || typeof value !== 'string' || !/^[\x20-\x7e\t\r\n]+$/.test(value))
      throw new ConfigurationError('ERR_OPTION_INVALID', `sasl: "${name}" is no extension of OAUTHBEARER, or its value is none.`)
  }
  return extensions
}
