import type { Claims, Clock, Revocation, Secret } from '@portcullis/core'
import { ConfigurationError, requireText } from '@portcullis/core'

/** A user name and password, as a peer presented them. Neither has been believed yet. */
export interface UserCredential {
  /** Not empty, at most {@link maxUsernameLength} characters, without control characters. */
  readonly username: string
  /** Not empty, at most {@link maxPasswordBytes} bytes of UTF-8. */
  readonly password: Secret
}

/** What a store may use while it judges. */
export interface UserStoreContext {
  readonly clock: Clock
  /** Aborts when nobody wants the answer any more. */
  readonly signal: AbortSignal
  /** The address of the far end, where it is known: whose share of a bounded queue a check counts against. */
  readonly remoteAddress: string | undefined
}

/** A user who has just proven a password. */
export interface User {
  /** The name that the store knows this user by, which becomes the principal's subject: of `Alice` and `alice` always the same one. */
  readonly username: string
  readonly scopes?: Iterable<string>
  /** Further statements about the user, for authorizers and the audit trail. Frozen in place. */
  readonly claims?: Claims
  /** When this stops to hold, such as the end of an account. An account without end leaves it out: a store that hands out anything but a valid date here, `null` and `undefined` included, is faulty. */
  readonly expiresAt?: Date
  /** What the store revokes when the user is removed or the password changes; live sessions then end at once. */
  readonly revocation?: Revocation
}

/** Why a store refuses. For the log only: a peer is told the same for all of them. */
export type UserRefusal = 'unknownUser' | 'wrongPassword' | 'notPermitted'

/**
 * Who the users are: one method. An outage is thrown as `UnavailableError`; anything else that is thrown or returned
 * ends in `unavailable`, never in `allow`.
 *
 * A store that hashes by itself must spend on an unknown user what it spends on a wrong password, or response times
 * list its users. `passwordStore` does so, and all else that is hard about it, on top of a look-up function.
 */
export interface UserStore {
  /** Becomes the `issuer` of the principals: equal names in two stores are two principals. */
  readonly name: string
  authenticate(credential: UserCredential, context: UserStoreContext): User | UserRefusal | Promise<User | UserRefusal>
}

/** The longest user name that is looked up, in UTF-16 code units: RFC 5321 allows an e-mail address 254 octets. */
export const maxUsernameLength = 256
/** The longest password that is looked at, in bytes of UTF-8: room for any passphrase, and no lever on slow hashes. */
export const maxPasswordBytes = 1024

/**
 * Makes a user store out of one function.
 *
 * It returns the user whose password this is, or why not.
 */
export function userStore(name: string, authenticate: UserStore['authenticate']): UserStore {
  return checkUserStore({ name, authenticate })
}

/** Refuses what cannot be a user store; returns it. */
export function checkUserStore(store: UserStore): UserStore {
  if (typeof store !== 'object' || store === null)
    throw new ConfigurationError('ERR_OPTION_INVALID', 'A user store must be an object with a name and a method "authenticate".')
  requireText('The name of a user store', store.name)
  if (typeof store.authenticate !== 'function')
    throw new ConfigurationError('ERR_OPTION_INVALID', `The user store "${store.name}" needs a method "authenticate".`)
  return store
}
