import {
  checkOptions,
  ConfigurationError,
  requireFunction,
  requireGuard,
  requireNumber,
  type Authorizer,
  type Decision,
  type Guard,
  type Principal,
  type Secret,
} from '@portcullis/core'
import { rabbitmqErrorCodes, type RabbitmqErrorCode } from '../errors.ts'
import { describeLogin, readCall, type CallName, type NamedCall, type UserCall } from './calls.ts'
import { checkBroker, listen, type Answer, type BrokerOnLoopback, type BrokerOverTls } from './listener.ts'
import { scopePermissions } from './permissions.ts'
import { Standing } from './standing.ts'

export type { BrokerOnLoopback, BrokerOverTls } from './listener.ts'

/** What a client of the broker has logged in with. */
export interface Login {
  readonly username: string
  readonly password: Secret
}

/** What {@link authority} takes. */
export interface AuthorityOptions<P extends Principal = Principal> {
  /** Judges logins: name and password, or the access token in the password's place. */
  readonly guard: Guard<P>
  /** How the broker proves that it is the broker. Nobody else is answered. */
  readonly broker: BrokerOverTls | BrokerOnLoopback
  /** Where the broker asks. 0 takes a free one. */
  readonly port: number
  /** What somebody proven may enter, configure, write and read; see `Asked` for what it gets to see. Default: `scopePermissions()`. */
  readonly permit?: Authorizer
  /** What stands in the password's place: a password (`basic`) or an access token (`bearer`). Default: `basic`. */
  readonly credential?: 'basic' | 'bearer' | ((login: Login) => 'basic' | 'bearer')
  /**
   * The name that a principal must have logged in with. Default: its subject. Under that name alone the broker asks
   * afterwards, so it must tell apart whoever should have rights of their own: two issuers with one subject, two clients
   * of one user.
   */
  readonly nameOf?: (principal: P) => string
  /** The broker's tags for a principal, such as `monitoring`, for its management interface. Default: none. */
  readonly tagsOf?: (principal: P) => readonly string[]
  /**
   * The longest that somebody stays known without another login, in milliseconds; a principal that ends sooner ends it
   * sooner. Default: 86,400,000, since the broker asks for a password only when a connection opens, and they live long.
   */
  readonly maxLifetimeMs?: number
}

/** Endpoints that a broker asks. */
export interface RabbitmqAuthority {
  readonly port: number
  /** Closes every connection. Whoever was known is forgotten: open connections of the broker are then refused what they ask next. */
  close(): Promise<void>
  [Symbol.asyncDispose](): Promise<void>
}

const allowed: Answer = { status: 200, text: 'allow' }
const denied: Answer = { status: 200, text: 'deny' }
// To the broker an error, which it logs as one and which refuses too.
const unavailable: Answer = { status: 503, text: '' }
const malformed: Answer = { status: 400, text: '' }

/**
 * Answers the four calls of RabbitMQ's plugin `rabbitmq_auth_backend_http` with a guard. `user` is a login, judged by
 * `guard`; `vhost`, `resource` and `topic` carry a name and no credential, and are decided by `permit` for the principal
 * that was proven last under that name and virtual host, as long as it holds: expiry, revocation and the guard's own
 * policy are looked at each time. Whoever is unknown is denied, so after a restart of this process clients log in anew.
 *
 * On AMQP the broker names no virtual host when it asks for the login, and does so in the next call. So a principal is
 * kept under its name for the minute of a handshake, and under name and virtual host from the moment that it enters.
 * Whoever logs in under a name must be the principal of that name; a name that a principal of another issuer holds is
 * denied. Logins of one party share one standing: the last one counts, for its other connections too.
 *
 * Denied, unless a mechanism of one's own vouches for the name: logins without a password, as by client certificate
 * (EXTERNAL), of which the broker says no more than the name. What cannot be judged is answered with 503, which refuses.
 *
 * Not stopped: the broker keeps the last twelve permissions of each kind that a channel was given, until the channel
 * closes or idles, and closes no connection when a principal ends. Whoever must be out at once is closed at the broker
 * (`rabbitmqctl close_all_user_connections`). `update-secret` renews nothing here. Do not put the plugin
 * `rabbitmq_auth_backend_cache` in between, which would remember what was revoked.
 *
 * Throws a `ConfigurationError` for options that would let anybody ask, and what listening throws.
 */
export async function authority<P extends Principal>(options: AuthorityOptions<P>): Promise<RabbitmqAuthority> {
  const judge = new Judge(settingsOf(options))
  const listener = await listen({
    broker: options.broker,
    port: options.port,
    report: (event) => options.guard.report(event),
    answer: (call, body) => judge.answer(call, body),
  })
  return { ...listener, [Symbol.asyncDispose]: () => listener.close() }
}

type Settings<P extends Principal> = Required<Omit<AuthorityOptions<P>, 'credential'>> & {
  readonly credential: (login: Login) => 'basic' | 'bearer'
}

/** Answers calls that the broker is known to have made. */
class Judge<P extends Principal> {
  readonly #settings: Settings<P>
  readonly #permitting: Guard<P>
  readonly #standing: Standing<P>

  constructor(settings: Settings<P>) {
    this.#settings = settings
    this.#permitting = settings.guard.with({ authorize: settings.permit })
    this.#standing = new Standing(settings.guard.clock, settings.maxLifetimeMs)
  }

  /** Never rejects: what goes wrong is an answer that refuses. */
  async answer(name: CallName, body: Buffer): Promise<Answer> {
    try {
      const call = readCall(name, body)
      if (call === undefined) {
        this.#tell('ERR_RABBITMQ_AUTHORITY_CALL')
        return malformed
      }
      return call.call === 'user' ? await this.#login(call) : await this.#use(call)
    } catch (cause) {
      this.#tell('ERR_RABBITMQ_AUTHORITY_FAULT', { cause })
      return unavailable
    }
  }

  async #login(call: UserCall): Promise<Answer> {
    const { guard, credential, nameOf, tagsOf } = this.#settings
    const { username, password } = call
    const request = describeLogin(call, password === undefined ? 'basic' : credential({ username, password }))
    const decision = await guard.decide(request)
    if (decision.outcome !== 'allow') return refusal(decision)
    const { principal } = decision
    const { action, resource, attributes } = request
    const tags = principal.kind === 'principal' ? tagsOf(principal).map(checkedTag) : []
    if (
      principal.kind !== 'principal' ||
      nameOf(principal) !== username ||
      !this.#standing.prove(username, { principal, login: { action, resource, attributes } })
    ) {
      this.#tell('ERR_RABBITMQ_AUTHORITY_NAME', { principal })
      return denied
    }
    return { status: 200, text: ['allow', ...tags].join(' ') }
  }

  async #use({ call, username, virtualHost, action }: NamedCall): Promise<Answer> {
    const standing = this.#standing
    const held = call === 'vhost' ? standing.entering(username, virtualHost) : standing.in(username, virtualHost)
    if (held === undefined) {
      this.#tell('ERR_RABBITMQ_AUTHORITY_UNKNOWN')
      return denied
    }
    const { principal, login } = held
    // Whether it would still be let in, and then whether it may do this.
    let decision = await this.#settings.guard.authorize(principal, login)
    if (decision.outcome === 'allow') decision = await this.#permitting.authorize(principal, action)
    if (decision.outcome !== 'allow') {
      this.#settings.guard.report({
        type: 'warning',
        protocol: 'amqp',
        principal,
        code: decision.code,
        message: `Not permitted: ${JSON.stringify({ ...action.attributes, action: action.action, resource: action.resource })}`,
      })
      return refusal(decision)
    }
    if (call !== 'vhost' || standing.enter(username, virtualHost, held)) return allowed
    this.#tell('ERR_RABBITMQ_AUTHORITY_NAME', { principal })
    return denied
  }

  #tell(code: RabbitmqErrorCode, more: { readonly principal?: Principal; readonly cause?: unknown } = {}): void {
    this.#settings.guard.report({ type: 'warning', protocol: 'amqp', code, message: rabbitmqErrorCodes[code], ...more })
  }
}

function refusal(decision: Exclude<Decision, { outcome: 'allow' }>): Answer {
  return decision.outcome === 'unavailable' ? unavailable : denied
}

/** The broker makes an atom of each, and never forgets one. */
function checkedTag(tag: string): string {
  if (!/^[a-z][a-z_]{0,63}$/.test(tag)) throw new ConfigurationError('ERR_OPTION_INVALID', 'authority: a tag is small letters and _.')
  return tag
}

function settingsOf<P extends Principal>(options: AuthorityOptions<P>): Settings<P> {
  checkOptions<AuthorityOptions<P>>('authority', options, {
    guard: true,
    broker: true,
    port: true,
    permit: true,
    credential: true,
    nameOf: true,
    tagsOf: true,
    maxLifetimeMs: true,
  })
  const { port, credential = 'basic', permit = scopePermissions(), maxLifetimeMs = 86_400_000 } = options
  const { nameOf = ({ subject }: P) => subject, tagsOf = () => [] } = options
  requireNumber('authority: port', port, { min: 0, max: 65_535 })
  requireNumber('authority: maxLifetimeMs', maxLifetimeMs, { min: 1_000, max: 366 * 86_400_000 })
  if (typeof credential === 'string' && credential !== 'basic' && credential !== 'bearer')
    throw new ConfigurationError('ERR_OPTION_INVALID', 'authority: credential is basic, bearer or a function.')
  return {
    guard: requireGuard('authority', options.guard),
    broker: checkBroker(options.broker),
    port,
    permit: requireFunction('authority: permit', permit),
    credential: typeof credential === 'string' ? () => credential : requireFunction('authority: credential', credential),
    nameOf: requireFunction('authority: nameOf', nameOf),
    tagsOf: requireFunction('authority: tagsOf', tagsOf),
    maxLifetimeMs,
  }
}
