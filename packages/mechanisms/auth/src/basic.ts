import type { AuthenticationContext, Authenticator, Channel, Principal, Refused } from '@portcullis/core'
import {
  authenticator,
  checkOptions,
  ConfigurationError,
  credentialOf,
  notMine,
  refused,
  requireText,
  vouchForPrincipal,
} from '@portcullis/core'
import { isThenable } from './thenable.ts'
import type { User, UserRefusal, UserStore } from './user-store.ts'
import { checkUserStore, maxPasswordBytes, maxUsernameLength } from './user-store.ts'
import { isValidDate } from './valid-date.ts'

/** How {@link basic} is set up. */
export interface BasicOptions {
  readonly store: UserStore
  /** What the peer is told that it logs in to (RFC 7617 section 2). Printable ASCII, since many clients show nothing else. */
  readonly realm: string
}

/**
 * Proves users by name and password (RFC 7617): judges credentials of kind `basic`, however a protocol carries them.
 *
 * The principal's issuer is the store's name, its subject the user name as the store knows it. Names and passwords are
 * compared exactly, code point by code point; a password may contain colons, and neither may be empty.
 *
 * Refuses with `ERR_USER_REFUSED`, the same for an unknown user and a wrong password, and with
 * `ERR_USER_CREDENTIAL_MALFORMED`. It does not lock anybody out and does not limit attempts other than by the store's
 * own bounds: keep a rate limit in front.
 */
export function basic(options: BasicOptions): Authenticator {
  checkOptions<BasicOptions>('basic', options, { store: true, realm: true })
  const store = checkUserStore(options.store)
  const realm = requireText('The realm of basic', options.realm)
  if (!/^[ -~]+$/.test(realm)) throw new ConfigurationError('ERR_OPTION_INVALID', 'The realm of basic must be printable ASCII.')
  const judge = (verdict: User | UserRefusal, context: AuthenticationContext): Principal | Refused =>
    typeof verdict === 'string' ? refuse(store, verdict) : vouch(store, verdict, context)
  return authenticator(
    `basic ${store.name}`,
    (request, context) => {
      const credential = credentialOf(request.credentials, 'basic')
      if (credential === undefined) return notMine
      const { username, password } = credential
      const fault = faultOf(username, password.reveal())
      if (fault !== undefined) return refused('ERR_USER_CREDENTIAL_MALFORMED', { reason: 'malformed', cause: fault })
      const verdict = store.authenticate({ username, password }, new StoreContext(request.channel, context))
      return isThenable(verdict) ? Promise.resolve(verdict).then((settled) => judge(settled, context)) : judge(verdict, context)
    },
    [{ scheme: 'Basic', parameters: { realm, charset: 'UTF-8' } }],
  )
}

class StoreContext {
  readonly clock: AuthenticationContext['clock']
  readonly remoteAddress: string | undefined
  readonly #context: AuthenticationContext

  constructor(channel: Channel, context: AuthenticationContext) {
    this.clock = context.clock
    this.remoteAddress = channel.from === 'peer' ? channel.remoteAddress : undefined
    this.#context = context
  }

  // Made when first read, as in the guard's own context.
  get signal(): AbortSignal {
    return this.#context.signal
  }
}

// RFC 7617 section 2 forbids control characters, and they would forge lines of a log.
const controlCharacter = /\p{Cc}/u

function faultOf(username: string, password: string): string | undefined {
  if (username === '' || password === '') return 'the user name or the password is empty'
  if (username.length > maxUsernameLength) return 'the user name is too long'
  if (controlCharacter.test(username) || controlCharacter.test(password)) return 'the user name or the password contains control characters'
  if (!username.isWellFormed() || !password.isWellFormed()) return 'the user name or the password is no well-formed Unicode'
  if (password.length > maxPasswordBytes || Buffer.byteLength(password) > maxPasswordBytes) return 'the password is too long'
  return undefined
}

const causes: Readonly<Record<UserRefusal, string>> = {
  unknownUser: 'no such user',
  wrongPassword: 'wrong password',
  notPermitted: 'the account may not log in',
}

function refuse(store: UserStore, refusal: UserRefusal): Refused {
  if (!Object.hasOwn(causes, refusal)) throw faulty(store)
  return refused('ERR_USER_REFUSED', { cause: causes[refusal] })
}

function vouch(store: UserStore, user: User, { clock }: AuthenticationContext): Principal {
  if (
    typeof user !== 'object' ||
    user === null ||
    typeof user.username !== 'string' ||
    user.username === '' ||
    typeof user.scopes === 'string' ||
    ('expiresAt' in user && !isValidDate(user.expiresAt)) ||
    ('revocation' in user && !isRevocation(user.revocation))
  )
    throw faulty(store)
  return vouchForPrincipal({
    issuer: store.name,
    subject: user.username,
    authenticatedAt: new Date(clock.now()),
    ...(user.scopes && { scopes: user.scopes }),
    ...(user.claims && { claims: user.claims }),
    ...(user.expiresAt && { expiresAt: user.expiresAt }),
    ...(user.revocation && { revocations: [user.revocation] }),
  })
}

// By what is used of it, since there may be two copies of the core.
function isRevocation(value: unknown): boolean {
  return typeof value === 'object' && value !== null && 'revoked' in value && 'subscribe' in value
}

function faulty(store: UserStore): ConfigurationError {
  return new ConfigurationError('ERR_USER_STORE_FAULTY', `The user store "${store.name}" returned neither a user nor a refusal.`)
}
