import type { IncomingMessage } from 'node:http'
import { TLSSocket } from 'node:tls'
import {
  checkOptions,
  ConfigurationError,
  requireGuard,
  type Decision,
  type Guard,
  type PeerChannel,
  type Principal,
  type Anonymous,
} from '@portcullis/core'
import { peerCertificateOf, isTlsBundle, type ServerTlsBundle } from '@portcullis/tls'
import { checkedCarriers } from './carriers.ts'
import { connectionOf, type Connection } from './connection.ts'
import { plaintextChannel } from './danger.ts'
import { BoundHttpRequest, credentialsOf, HttpAccessRequest, type Carriers } from './describe.ts'
import { FieldScanner } from './fields.ts'
import { defaultLimits } from './limits.ts'
import { TlsTermination } from './proxy.ts'
import { acknowledgement, protocolAnswer, refusalAnswer, type AnsweredCode, type WireAnswer } from './refuse.ts'
import { parseTarget } from './target.ts'

/** What the middlewares take besides the guard. */
export interface ProtectOptions {
  /**
   * How the server below is secured. Default: it must be a TLS server. Its bundle, if clients prove themselves by
   * certificate; `tlsTerminatedBy({ … })` behind a proxy; `plaintextChannel` of `./danger`.
   */
  readonly tls?: ServerTlsBundle | TlsTermination | typeof plaintextChannel
  /** Scheme, host and port by which peers know the service. Without it proofs of possession (DPoP) are refused, for they name it. */
  readonly origin?: string
  /** Where credentials may stand besides `Authorization`. Default: nowhere. */
  readonly carriers?: Carriers
}

/** What a framework knows of a request once its router has matched it. */
export interface Matched {
  readonly method: string
  /** As received. */
  readonly target: string
  readonly rawHeaders: string[]
  /** What Node has made of them, where it has. */
  readonly headers?: Record<string, unknown>
  readonly socket: object | undefined
  readonly channel?: PeerChannel
  /** The route that will run, as it was registered. */
  readonly resource: string
  readonly attributes: Readonly<Record<string, unknown>>
}

/** Allowed, with fields that the answer must carry; or the answer in the handler's place. */
export type Judged<P extends Principal | Anonymous> =
  | { readonly principal: P; readonly headers: readonly string[] }
  | { readonly answer: WireAnswer }

/** A guard before the handlers of a framework. */
export class Protection<P extends Principal | Anonymous> {
  readonly guard: Guard<P>
  readonly #tls: ProtectOptions['tls']
  readonly #origin: string | undefined
  readonly #scanner: FieldScanner
  readonly #cookies: ReadonlyMap<string, 'apiKey' | 'bearer'>

  constructor(guard: Guard<P>, options: ProtectOptions = {}) {
    this.guard = requireGuard('protect', guard)
    checkOptions<ProtectOptions>('protect', options, { tls: true, origin: true, carriers: true })
    const { tls, origin } = options
    if (Object.hasOwn(options, 'tls') && !isTlsBundle(tls) && !(tls instanceof TlsTermination) && tls !== plaintextChannel)
      throw new ConfigurationError(
        'ERR_OPTION_INVALID',
        'protect `tls` is a bundle, tlsTerminatedBy({ … }), or plaintextChannel of ./danger.',
      )
    if (origin !== undefined && (!URL.canParse(origin) || new URL(origin).origin !== origin))
      throw new ConfigurationError('ERR_OPTION_INVALID', 'protect `origin` is scheme, host and port only, such as https://orders.example.')
    const carriers = checkedCarriers(options.carriers)
    this.#tls = tls
    this.#origin = origin
    this.#scanner = new FieldScanner(carriers, false)
    this.#cookies = new Map(Object.entries(carriers.cookies ?? {}))
  }

  /** Judges a request of the framework; a promise only if a mechanism needs I/O. */
  judge(request: Matched): Judged<P> | Promise<Judged<P>> {
    const access = this.#describe(request)
    if (typeof access === 'string') {
      this.guard.report({ type: 'messageRefused', protocol: 'https', code: access })
      return { answer: protocolAnswer(access) }
    }
    const decision = this.guard.decide(access)
    return decision instanceof Promise ? decision.then(judged) : judged(decision)
  }

  #describe({
    method,
    target: text,
    rawHeaders,
    headers,
    socket,
    channel: given,
    resource,
    attributes,
  }: Matched): HttpAccessRequest | AnsweredCode {
    const target = parseTarget(text, defaultLimits.maxTargetLength)
    if (typeof target === 'string') return target
    const connection: Connection | undefined = socket === undefined ? undefined : connectionOf(socket, () => channelOf(socket, this.#tls))
    let channel = given ?? connection?.channel
    if (channel !== undefined && this.#tls instanceof TlsTermination) {
      const { secure, remoteAddress } = this.#tls.facts(channel.remoteAddress, rawHeaders, headers)
      channel = { from: 'peer', protocol: 'https', secure, ...(remoteAddress !== undefined && { remoteAddress }) }
    }
    if (channel === undefined || (!channel.secure && this.#tls !== plaintextChannel)) return 'ERR_HTTP_CHANNEL_INSECURE'
    const fields = this.#scanner.scan(rawHeaders)
    if (fields.override) return 'ERR_HTTP_METHOD_OVERRIDE'
    const credentials = credentialsOf(
      fields,
      connection ?? { text: undefined, credentials: undefined },
      method,
      this.#origin ?? '',
      this.#cookies,
    )
    if (this.#origin === undefined) return new HttpAccessRequest(credentials, method, resource, { parameters: attributes }, channel)
    return new BoundHttpRequest(credentials, method, resource, { parameters: attributes }, channel, this.#origin, target.path)
  }
}

function judged<P extends Principal | Anonymous>(decision: Decision<P>): Judged<P> {
  if (decision.outcome !== 'allow') return { answer: refusalAnswer(decision) }
  return { principal: decision.principal, headers: acknowledgement(decision.advice) }
}

/** The part of a node request that every framework on Node hands out. */
export function fromNode(request: IncomingMessage, target: string): Pick<Matched, 'target' | 'rawHeaders' | 'headers' | 'socket'> {
  return { target, rawHeaders: request.rawHeaders, headers: request.headers, socket: request.socket }
}

function channelOf(socket: object, tls: ProtectOptions['tls']): PeerChannel {
  const { remoteAddress } = socket as { readonly remoteAddress?: string }
  const address = remoteAddress === undefined ? {} : { remoteAddress }
  if (!(socket instanceof TLSSocket)) return { from: 'peer', protocol: 'http', secure: false, ...address }
  const certificate = isTlsBundle(tls) ? peerCertificateOf(socket, tls) : undefined
  return { from: 'peer', protocol: 'https', secure: true, ...address, ...(certificate && { certificate }) }
}
