import type { TLSSocket } from 'node:tls'

import {
  AuthenticationError,
  AuthorizationError,
  checkOptions,
  ConfigurationError,
  UnavailableError,
  type CredentialSource,
  type SecurityError,
  type Target,
} from '@portcullis/core'
import { connectTls, isTlsBundle, tlsBundle, type ClientTlsBundle, type ClientTlsOptions } from '@portcullis/tls'

import { linesOf, wordsOf } from './lines.ts'
import { heed, type Answer } from './present.ts'
import type { HelloErrorCode } from './errors.ts'
import type { RefusalWord } from './refuse.ts'

/** What {@link connect} takes. */
export interface ConnectOptions {
  readonly host: string
  readonly port: number
  readonly tls: ClientTlsBundle | ClientTlsOptions
  /** Where the certificate's name is not `host`. */
  readonly serverName?: string
  /** Feeds the connection, at its beginning and before each expiry. Without one only the certificate speaks. */
  readonly source?: CredentialSource
}

/** A connection that is proven. Calls may overlap; they are answered in order. */
export interface HelloClient {
  /** Asks for an operation; rejects with a `SecurityError` if it is refused. */
  call(action: string, resource: string): Promise<string>
  /** Follows a resource. The promise of what is returned resolves with the word by which it ended. */
  follow(resource: string, onNews: (text: string) => void): Promise<{ readonly ended: Promise<string> }>
  close(): void
}

interface Followed {
  readonly news: (text: string) => void
  readonly end: (word: string) => void
}

/** Connects and proves itself. There is no way to do it without TLS. Rejects with what `connectTls` and the source throw, and with `ERR_HELLO_REFUSED`. */
export async function connect(options: ConnectOptions): Promise<HelloClient> {
  checkOptions<ConnectOptions>('connect', options, { host: true, port: true, tls: true, serverName: true, source: true })
  const { host, port, tls, serverName, source } = options
  const bundle = await tlsBundle(tls)
  // Who makes a bundle closes it.
  const release = (): void => {
    if (!isTlsBundle(tls)) bundle.close()
  }
  const socket = await connectTls(bundle, { host, port, ...(serverName !== undefined && { serverName }) }).catch((error: unknown) => {
    release()
    throw error
  })
  socket.once('close', release)
  const line = new Line(socket, source, { origin: `hello://${serverName ?? host}:${port}`, secure: true })
  try {
    await line.authenticate()
  } catch (error) {
    socket.destroy()
    throw error
  }
  return line
}

class Line implements HelloClient {
  readonly #socket: TLSSocket
  readonly #source: CredentialSource | undefined
  readonly #target: Target
  readonly #waiting: PromiseWithResolvers<Answer>[] = []
  readonly #followed = new Map<string, Followed>()
  #lastWord: string | undefined

  constructor(socket: TLSSocket, source: CredentialSource | undefined, target: Target) {
    this.#socket = socket
    this.#source = source
    this.#target = target
    socket.on('error', () => undefined)
    void this.#read()
  }

  async authenticate(): Promise<void> {
    const exchange = (line: string): Promise<Answer> => this.#exchange(line)
    accepted(await (this.#source === undefined ? exchange('AUTH') : heed(exchange, this.#source, this.#target)))
  }

  async call(action: string, resource: string): Promise<string> {
    return accepted(await this.#exchange(`${action} ${resource}`))
  }

  async follow(resource: string, onNews: (text: string) => void): Promise<{ readonly ended: Promise<string> }> {
    const { promise, resolve } = Promise.withResolvers<string>()
    this.#followed.set(resource, { news: onNews, end: resolve })
    await this.call('follow', resource).catch((error: unknown) => {
      this.#followed.delete(resource)
      throw error
    })
    return { ended: promise }
  }

  close(): void {
    this.#socket.end()
  }

  async #exchange(line: string): Promise<Answer> {
    if (line.includes('\n'))
      throw new ConfigurationError<HelloErrorCode>('ERR_HELLO_LINE', 'An action, a resource or a credential holds a line break.')
    if (this.#lastWord !== undefined) throw this.#gone()
    const answer = Promise.withResolvers<Answer>()
    this.#waiting.push(answer)
    this.#socket.write(`${line}\n`)
    return answer.promise
  }

  async #read(): Promise<void> {
    try {
      for await (const line of linesOf(this.#socket)) this.#take(...wordsOf(line))
    } catch {
      // Told below to whoever waits.
    } finally {
      this.#lastWord ??= 'closed'
      for (const answer of this.#waiting) answer.reject(this.#gone())
      for (const { end } of this.#followed.values()) end(this.#lastWord)
      this.#socket.destroy()
    }
  }

  #take(word: string, rest: string): void {
    const [first, second] = wordsOf(rest)
    switch (word) {
      case 'OK':
        return this.#waiting.shift()?.resolve({ text: rest === '' ? '' : String(JSON.parse(rest)) })
      case 'REFUSED':
        return this.#waiting.shift()?.resolve({ refused: first as RefusalWord, challenges: second })
      case 'NEWS':
        return this.#followed.get(first)?.news(String(JSON.parse(second)))
      case 'END':
        this.#followed.get(first)?.end(second)
        return void this.#followed.delete(first)
      case 'WARN':
        // A failure is no end yet: the listener's clock decides.
        return void this.authenticate().catch(() => undefined)
      case 'BYE':
        return void (this.#lastWord = first)
      default:
        return void this.#socket.destroy()
    }
  }

  #gone(): UnavailableError {
    return new UnavailableError<HelloErrorCode>(
      'ERR_HELLO_CLOSED',
      `The connection to ${this.#target.origin} has ended: ${this.#lastWord}.`,
    )
  }
}

function accepted(answer: Answer): string {
  if (answer.refused === undefined) return answer.text
  throw (errorOf[answer.refused] ?? unavailable)(`The listener refused: ${answer.refused}.`)
}

const authentication = (message: string): SecurityError => new AuthenticationError<HelloErrorCode>('ERR_HELLO_REFUSED', message)
const authorization = (message: string): SecurityError => new AuthorizationError<HelloErrorCode>('ERR_HELLO_FORBIDDEN', message)
const unavailable = (message: string): SecurityError => new UnavailableError<HelloErrorCode>('ERR_HELLO_UNAVAILABLE', message)

const errorOf: Readonly<Record<RefusalWord, (message: string) => SecurityError>> = {
  'credential-missing': authentication,
  'credential-malformed': authentication,
  'credential-refused': authentication,
  'step-up': authentication,
  'scope-missing': authorization,
  forbidden: authorization,
  unknown: authorization,
  'try-later': unavailable,
  fault: unavailable,
}
