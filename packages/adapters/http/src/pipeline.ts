import { AuthSession, type Anonymous, type Decision, type Guard, type PeerChannel, type Principal } from '@portcullis/core'
import { BoundHttpRequest, credentialsOf, type Carriers, type Parametrised } from './describe.ts'
import { countContent, droppedContentBytes, type Exchange } from './exchange.ts'
import { FieldScanner, type Fields } from './fields.ts'
import type { Handler, HandlerContext } from './handler.ts'
import { firstAnswer, type Hooks } from './hooks.ts'
import { incomingRequest } from './incoming-request.ts'
import type { ResolvedLimits } from './limits.ts'
import type { TlsTermination } from './proxy.ts'
import { acknowledgement, endings, protocolAnswer, refusalAnswer, type AnsweredCode, type WireAnswer } from './refuse.ts'
import { isAnswer, sendAnswer, sendAtOnce, type Answer } from './reply.ts'
import { entryOf, noParameters, type Entry, type Match, type Router } from './router.ts'
import { parseTarget } from './target.ts'

type Party = Principal | Anonymous

/** What requests are answered by. */
export interface PipelineOptions {
  readonly guard: Guard
  readonly router: Router
  readonly limits: ResolvedLimits
  readonly carriers: Carriers
  readonly hooks: Required<Hooks>
  /** Fields of every answer that does not name them itself. */
  readonly headers: readonly (readonly [string, string])[]
  readonly termination: TlsTermination | undefined
  readonly allowPlaintext: boolean
  /** Scheme, host and port by which peers know the listener. */
  readonly origin: () => string
}

/** One request on its way through the doors, which the handler gets as its context. */
class Passage implements HandlerContext {
  readonly exchange: Exchange
  readonly fields: Fields
  readonly channel: PeerChannel
  readonly entry: Entry
  readonly access: BoundHttpRequest
  /** Fields that the answer carries in any case. */
  added: readonly string[]
  /** Whether its answer has a clock. */
  held = false
  readonly #match: Match
  readonly #origin: string
  #request: Request | undefined

  constructor(
    exchange: Exchange,
    fields: Fields,
    access: BoundHttpRequest,
    channel: PeerChannel,
    entry: Entry,
    match: Match,
    origin: string,
  ) {
    this.exchange = exchange
    this.fields = fields
    this.access = access
    this.channel = channel
    this.entry = entry
    this.added = entry.cors === undefined ? nothing : entry.cors.headers(fields)
    this.#match = match
    this.#origin = origin
  }

  get parameters(): Readonly<Record<string, string>> {
    return this.#match.parameters
  }
  get resource(): string {
    return this.entry.pattern
  }
  get request(): Request {
    return (this.#request ??= incomingRequest(this.exchange, this.#origin + this.exchange.target, this.fields.contentLength !== 0))
  }
}

// An answer that takes longer than this gets a clock of its own, which ends it when the principal's time is over.
const promptMs = 1_000
const refusedMethods: ReadonlySet<string> = new Set(['CONNECT', 'TRACE', 'TRACK'])
// HTTP/2 takes any token, and the fetch standard makes `DELETE` of `delete`: what the guard has judged would be another.
const writtenMethod = /^[A-Z][A-Z-]*$/

/** The five doors between the wire and the handler, for both versions of HTTP. */
export class Pipeline {
  readonly #options: PipelineOptions
  readonly #scanner: FieldScanner
  readonly #cookies: ReadonlyMap<string, 'apiKey' | 'bearer'>
  readonly #open = new Set<() => void>()
  readonly #slow = new Map<Exchange, () => void>()
  #sweep: NodeJS.Timeout | undefined

  constructor(options: PipelineOptions) {
    this.#options = options
    this.#scanner = new FieldScanner(options.carriers, options.router.hasCors)
    this.#cookies = new Map(Object.entries(options.carriers.cookies ?? {}))
  }

  /** Answers one request, sooner or later. Never throws. */
  handle(exchange: Exchange): void {
    try {
      this.#handle(exchange)
    } catch (error) {
      this.#failed(exchange, error)
    }
  }

  /** What the guard is to judge of a request that another protocol takes over (an upgrade). */
  describe(
    exchange: Pick<Exchange, 'method' | 'target' | 'rawHeaders' | 'headers' | 'connection'>,
    resource: string,
    attributes: Readonly<Record<string, unknown>>,
  ): BoundHttpRequest | AnsweredCode {
    const target = parseTarget(exchange.target, this.#options.limits.maxTargetLength)
    if (typeof target === 'string') return target
    const channel = this.#channel(exchange)
    if (channel === undefined) return 'ERR_HTTP_CHANNEL_INSECURE'
    const fields = this.#scanner.scan(exchange.rawHeaders)
    return this.#access(exchange, fields, channel, resource, { parameters: attributes }, target.path)
  }

  /** Ends an exchange whose request has not arrived whole in time. */
  late(exchange: Exchange): void {
    this.#stop(exchange, 'ERR_HTTP_REQUEST_TIMEOUT')
  }

  /** Ends every answer that is still being sent. */
  endAll(): void {
    for (const end of this.#open) end()
    clearTimeout(this.#sweep)
  }

  #handle(exchange: Exchange): void {
    const { limits, router, hooks } = this.#options
    const target = parseTarget(exchange.target, limits.maxTargetLength)
    if (typeof target === 'string') return this.#refuse(exchange, target)
    const channel = this.#channel(exchange)
    if (channel === undefined) return this.#refuse(exchange, 'ERR_HTTP_CHANNEL_INSECURE')
    const { method } = exchange
    if (refusedMethods.has(method) || !writtenMethod.test(method)) return this.#refuse(exchange, 'ERR_HTTP_METHOD_REFUSED')
    const fields = this.#scanner.scan(exchange.rawHeaders)
    if (fields.override) return this.#refuse(exchange, 'ERR_HTTP_METHOD_OVERRIDE')
    if (exchange.streamsContent && fields.contentLength === 0) fields.contentLength = undefined
    if (fields.contentLength !== undefined && fields.contentLength > limits.maxContentBytes)
      return this.#refuse(exchange, 'ERR_HTTP_CONTENT_TOO_LARGE')
    const match = router.match(target.path)
    if (method === 'OPTIONS' && match !== undefined && fields.origin !== undefined && fields.requestedMethod !== undefined) {
      const { cors } = entryOf(match.routes, fields.requestedMethod) ?? match.routes.entries.values().next().value ?? {}
      if (cors !== undefined) return answerWith(exchange, cors.preflight(fields, match.routes.methods), fields)
    }
    const entry = match === undefined ? undefined : entryOf(match.routes, method)
    if (match === undefined || entry === undefined) return this.#unmatched(exchange, fields, channel, target.path, match)
    if (fields.contentLength === undefined) {
      countContent(exchange.content, limits.maxContentBytes, () => this.#stop(exchange, 'ERR_HTTP_CONTENT_TOO_LARGE'))
    }
    const access = this.#access(exchange, fields, channel, entry.pattern, match, target.path)
    const passage = new Passage(exchange, fields, access, channel, entry, match, this.#options.origin())
    if (hooks.before.length === 0) return this.#judge(passage, access)
    firstAnswer(hooks.before, passage.request, channel)
      .then((answer) => (answer === undefined ? this.#judge(passage, access) : this.#answer(passage, answer, undefined)))
      .catch((error: unknown) => this.#failed(exchange, error))
  }

  #judge(passage: Passage, access: BoundHttpRequest): void {
    const { exchange, entry } = passage
    const decision = entry.guard.decide(access)
    if (decision instanceof Promise)
      decision.then((made) => exchange.finished || this.#decided(passage, made)).catch((error: unknown) => this.#failed(exchange, error))
    else this.#decided(passage, decision)
  }

  #decided(passage: Passage, decision: Decision): void {
    const { exchange, fields } = passage
    if (decision.outcome !== 'allow') return answerWith(exchange, withFields(refusalAnswer(decision), passage.added), fields)
    passage.added = join(passage.added, acknowledgement(decision.advice))
    const { after } = this.#options.hooks
    if (after.length === 0) return this.#run(passage, decision.principal)
    firstAnswer(after, passage.request, decision.principal, passage)
      .then((answer) => (answer === undefined ? this.#run(passage, decision.principal) : this.#answer(passage, answer, decision.principal)))
      .catch((error: unknown) => this.#failed(exchange, error))
  }

  #run(passage: Passage, principal: Party): void {
    const { exchange, entry } = passage
    if (exchange.awaitsContinue) exchange.proceed()
    const { handler } = entry as { readonly handler: Handler }
    try {
      if (typeof handler !== 'function') {
        const { request, response } = exchange.native()
        for (let at = 0; at < passage.added.length; at += 2) response.appendHeader(passage.added[at] ?? '', passage.added[at + 1] ?? '')
        // Over HTTP/2 they are the compatibility layer's, which the handler's type says.
        const running = handler.requestListener(request as never, response as never, principal, passage)
        if (running instanceof Promise) running.catch((error: unknown) => this.#failed(exchange, error))
      } else {
        const answer = handler(passage.request, principal, passage)
        if (answer instanceof Promise)
          answer.then((made) => this.#answer(passage, made, principal)).catch((error: unknown) => this.#failed(exchange, error))
        else this.#answer(passage, answer, principal)
      }
      if (!exchange.finished) this.#watchSlow(passage, principal)
    } catch (error) {
      this.#failed(exchange, error)
    }
  }

  #answer(passage: Passage, answer: Answer, principal: Party | undefined): void {
    const { exchange, added } = passage
    // The peer may be gone, or the listener has answered in the handler's stead meanwhile.
    if (exchange.answered) return
    if (!isAnswer(answer)) throw new TypeError('A handler returned neither a Response nor a Reply.')
    if (sendAtOnce(exchange, answer, this.#options.headers, added)) return
    sendAnswer(exchange, answer, this.#options.headers, added, () => {
      if (principal !== undefined) this.#hold(passage, principal)
    }).catch((error: unknown) => this.#failed(exchange, error))
  }

  /** What no level covers is refused, but judged first: who may not come in is not told what is there. */
  #unmatched(exchange: Exchange, fields: Fields, channel: PeerChannel, path: string, match: Match | undefined): void {
    const guard = match === undefined ? this.#options.router.guardAbove(path) : match.routes.guard
    const access = this.#access(
      exchange,
      fields,
      channel,
      match?.routes.pattern ?? '(unmatched)',
      match ?? { parameters: noParameters },
      path,
    )
    const decided = (decision: Decision): void => {
      if (decision.outcome !== 'allow') return answerWith(exchange, refusalAnswer(decision), fields)
      this.#refuse(
        exchange,
        match === undefined ? 'ERR_HTTP_ROUTE_UNMATCHED' : 'ERR_HTTP_METHOD_UNMATCHED',
        match === undefined ? nothing : ['allow', match.routes.methods.join(', ')],
      )
    }
    const decision = guard.decide(access)
    if (decision instanceof Promise) decision.then(decided).catch((error: unknown) => this.#failed(exchange, error))
    else decided(decision)
  }

  #access(
    exchange: Pick<Exchange, 'method' | 'connection'>,
    fields: Fields,
    channel: PeerChannel,
    resource: string,
    match: Parametrised,
    path: string,
  ): BoundHttpRequest {
    const origin = this.#options.origin()
    return new BoundHttpRequest(
      credentialsOf(fields, exchange.connection, exchange.method, origin, this.#cookies),
      exchange.method,
      resource,
      match,
      channel,
      origin,
      path,
    )
  }

  /** How the request came; `undefined` if that is not good enough to read a credential from. */
  #channel(exchange: Pick<Exchange, 'connection' | 'rawHeaders' | 'headers'>): PeerChannel | undefined {
    const { channel } = exchange.connection
    const { termination, allowPlaintext } = this.#options
    if (termination === undefined) return channel.secure || allowPlaintext ? channel : undefined
    const { secure, remoteAddress } = termination.facts(channel.remoteAddress, exchange.rawHeaders, exchange.headers)
    return secure ? { from: 'peer', protocol: 'https', secure, ...(remoteAddress !== undefined && { remoteAddress }) } : undefined
  }

  #refuse(exchange: Exchange, code: AnsweredCode, headers: readonly string[] = nothing): void {
    const { remoteAddress } = exchange.connection.channel
    this.#options.guard.report({ type: 'messageRefused', protocol: 'https', code, ...(remoteAddress !== undefined && { remoteAddress }) })
    answerWith(exchange, protocolAnswer(code, headers), undefined)
  }

  /** Refuses what a handler may be at work on already. */
  #stop(exchange: Exchange, code: AnsweredCode): void {
    if (exchange.answered) exchange.abort()
    else this.#refuse(exchange, code)
    exchange.disown()
  }

  #failed(exchange: Exchange, cause: unknown): void {
    this.#options.guard.report({ type: 'warning', protocol: 'https', code: 'ERR_HTTP_HANDLER_FAILED', cause })
    try {
      // An answer that has begun cannot be taken back; cut short, it is at least not taken for whole. One that is whole stands.
      if (exchange.answered && !exchange.finished) exchange.abort()
      else answerWith(exchange, protocolAnswer('ERR_HTTP_HANDLER_FAILED'), undefined)
      exchange.disown()
    } catch {
      exchange.abort()
    }
  }

  /** Most answers are there at once. Those that are not are looked at again after a while: a clock for each would cost as much as judging it. */
  #watchSlow(passage: Passage, principal: Party): void {
    const { exchange } = passage
    this.#slow.set(exchange, () => this.#hold(passage, principal))
    exchange.onClose(() => this.#slow.delete(exchange))
    this.#sweep ??= setTimeout(() => {
      this.#sweep = undefined
      const slow = [...this.#slow.values()]
      this.#slow.clear()
      for (const hold of slow) hold()
    }, promptMs).unref()
  }

  /** Gives an answer that takes its time a clock: it ends with the principal. */
  #hold(passage: Passage, principal: Party): void {
    const { exchange, entry, parameters, channel } = passage
    if (exchange.finished || passage.held) return
    passage.held = true
    this.#slow.delete(exchange)
    const session = new AuthSession<Party>({
      guard: entry.guard,
      principal,
      action: { action: exchange.method === 'HEAD' ? 'GET' : exchange.method, resource: entry.pattern, attributes: parameters },
      protocol: 'https',
      ...(channel.remoteAddress !== undefined && { remoteAddress: channel.remoteAddress }),
      onEnd: (reason) => {
        if (endings[reason] === 'cut') exchange.abort()
      },
    })
    const end = (): void => session.close('shutdown')
    this.#open.add(end)
    exchange.onClose(() => {
      this.#open.delete(end)
      session.close()
    })
  }
}

const nothing: readonly string[] = Object.freeze([])

function join(a: readonly string[], b: readonly string[]): readonly string[] {
  return b.length === 0 ? a : a.length === 0 ? b : [...a, ...b]
}

function withFields(answer: WireAnswer, fields: readonly string[]): WireAnswer {
  return fields.length === 0 ? answer : { ...answer, headers: [...answer.headers, ...fields] }
}

/** Content that comes with a refused request is dropped if it is small; a large one is cut off. */
function answerWith(exchange: Exchange, { status, headers, content }: WireAnswer, fields: Fields | undefined): void {
  if (exchange.answered) return
  exchange.send(status, headers, content, fields?.contentLength === undefined || fields.contentLength > droppedContentBytes)
}
