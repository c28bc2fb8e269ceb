import type { Clock, Secret } from '@portcullis/core'
import { BoundedCache, ConfigurationError, isSecret, isSecurityError, requireFunction, requireNumber, systemClock } from '@portcullis/core'
import type { HashingLimiter, PasswordPolicy } from '@portcullis/crypto'
import { defaultPasswordPolicy, hashPassword, hmac, needsRehash, parseSecretKey, randomBytes } from '@portcullis/crypto'
import { plainTextPasswords } from './danger.ts'
import { peerShare } from './peer-share.ts'
import type { StoreReport } from './store-event.ts'
import { reportLater } from './store-event.ts'
import type { PasswordForm, ReadingOptions, StoredPassword } from './stored-password.ts'
import { readStoredPassword } from './stored-password.ts'
import type { User, UserCredential, UserRefusal, UserStoreContext } from './user-store.ts'

/** What a store keeps of a user. */
export interface UserRecord extends User {
  /** The hash of the password as PHC string, or a legacy form. Read anew for each check, so that a change counts at once. */
  readonly password: string
}

/** What all stores that verify passwords take. */
export interface PasswordOptions extends ReadingOptions {
  /** What new hashes should be like; decides what {@link PasswordOptions.rehash} hears of. Default: that of `@portcullis/crypto`. */
  readonly policy?: PasswordPolicy
  /**
   * Hears, after a login, of users whose stored value is weaker than the policy, with a new value to store for them.
   * It may fail; that is reported, and the login stands. Storing it changes the value, which ends that user's live sessions.
   */
  readonly rehash?: (username: string, password: string) => void | Promise<void>
  /**
   * How long a password that was verified is believed again without hashing, in milliseconds, at most and by default
   * 60,000, or `never`. A changed value, and a user who is gone, count at once all the same. In exchange for the speed a
   * dump of the process's memory allows fast guessing at recent passwords, and response times tell who logged in lately.
   */
  readonly believeForMs?: number | 'never'
  /** Bounds the hashing. Default: the one that the whole process shares. */
  readonly limiter?: HashingLimiter
  readonly report?: StoreReport
  readonly clock?: Clock
}

/** For `checkOptions`: the keys of {@link PasswordOptions}. */
export const passwordOptions = {
  decryptionSecret: true,
  plainText: true,
  policy: true,
  rehash: true,
  believeForMs: true,
  limiter: true,
  report: true,
  clock: true,
} as const

/** The longest that a verified password is believed, in milliseconds. */
export const maxBelieveForMs = 60_000

// A digest of 32 characters each; more users than this at once verify more often.
const maxBelieved = 10_000

// Under a key of this process, so that a key of the cache tells nothing outside of it.
const believedKey = parseSecretKey({ secret: randomBytes(32) })

/**
 * Verifies passwords for one store: bounded work, equal work for users who do not exist, a short memory for successes,
 * and word of values that should be replaced.
 */
export class PasswordCheck {
  readonly clock: Clock
  readonly report: StoreReport | undefined
  readonly #store: string
  readonly #options: PasswordOptions
  readonly #believed: BoundedCache<string, true> | undefined
  readonly #believeForMs: number
  readonly #rehashing = new Set<string>()

  constructor(store: string, options: PasswordOptions) {
    const { believeForMs = maxBelieveForMs, decryptionSecret, plainText, policy, rehash, report } = options
    this.#store = store
    this.#options = options
    this.clock = options.clock ?? systemClock
    this.report = report === undefined ? undefined : requireFunction(`The report of "${store}"`, report)
    this.#believeForMs =
      believeForMs === 'never' ? 0 : requireNumber(`believeForMs of "${store}"`, believeForMs, { min: 1, max: maxBelieveForMs })
    this.#believed = believeForMs === 'never' ? undefined : new BoundedCache({ maxEntries: maxBelieved, clock: this.clock })
    // A bad policy is found now, whatever value it is asked about.
    if (policy !== undefined) needsRehash(`@sha256:{${'0'.repeat(64)}}`, policy)
    if (rehash !== undefined) requireFunction(`The rehash of "${store}"`, rehash)
    if (decryptionSecret !== undefined && !isSecret(decryptionSecret))
      throw new ConfigurationError('ERR_OPTION_INVALID', `The decryptionSecret of "${store}" must be a Secret.`)
    if (plainText !== undefined && plainText !== plainTextPasswords)
      throw new ConfigurationError(
        'ERR_OPTION_INVALID',
        `The plainText of "${store}" can only be plainTextPasswords of @portcullis/auth/danger.`,
      )
  }

  /** Reads the stored value of a user. Throws what `readStoredPassword` throws. */
  read({ username, password }: { readonly username: string; readonly password: string }): StoredPassword {
    return readStoredPassword(`Store "${this.#store}", user "${username}"`, password, this.#options)
  }

  /**
   * Judges a password. `record` is the user's as it stands now; without one the work for `decoy` is done all the same,
   * so that no clock tells who exists. `seen` gets every stored value that is read.
   */
  verdict(
    record: UserRecord | undefined,
    { password }: UserCredential,
    context: UserStoreContext,
    decoy: StoredPassword,
    seen?: (stored: StoredPassword) => void,
  ): User | UserRefusal | Promise<User | UserRefusal> {
    if (record === undefined) return this.#verify(decoy, password, context).then(() => 'unknownUser')
    const key = this.#believed && believedAs(record, password)
    if (key !== undefined && this.#believed?.get(key) === true) return userOf(record)
    const stored = this.read(record)
    seen?.(stored)
    return this.#verify(stored, password, context).then((matches) => {
      if (!matches) return 'wrongPassword'
      if (key !== undefined) this.#believed?.set(key, true, this.clock.now() + this.#believeForMs)
      this.#offerRehash(record, password, context)
      return userOf(record)
    })
  }

  /** Reports that passwords are stored in a form that should go; sound hashes pass in silence. */
  warnOf(form: PasswordForm, whose: string): void {
    if (form !== 'hash')
      reportLater(this.report, {
        type: 'warning',
        code: 'ERR_PASSWORD_VALUE_LEGACY',
        message: `Store "${this.#store}": ${whose} stored as ${form}. Replace by hashes.`,
      })
  }

  /** Believes nobody any more without verifying. */
  forget(): void {
    this.#believed?.clear()
  }

  #verify(stored: StoredPassword, password: Secret, { remoteAddress, signal }: UserStoreContext): Promise<boolean> {
    return stored.verify(password, { source: peerShare(remoteAddress), signal, limiter: this.#options.limiter })
  }

  #offerRehash({ username, password: value }: UserRecord, password: Secret, { remoteAddress }: UserStoreContext): void {
    const { rehash, policy = defaultPasswordPolicy, limiter } = this.#options
    if (rehash === undefined || this.#rehashing.has(username)) return
    if (value.startsWith('$') && !needsRehash(value, policy)) return
    this.#rehashing.add(username)
    hashPassword(password, { policy, source: peerShare(remoteAddress), limiter })
      .then((fresh) => rehash(username, fresh))
      .catch((cause: unknown) => {
        // There is always a next login.
        if (isSecurityError(cause, 'ERR_CRYPTO_HASHING_OVERLOADED')) return
        reportLater(this.report, {
          type: 'warning',
          code: 'ERR_PASSWORD_REHASH',
          message: `Store "${this.#store}": the new hash of "${username}" could not be made or stored.`,
          cause,
        })
      })
      .finally(() => this.#rehashing.delete(username))
  }
}

/** Looks at all stored values of a store when it is read: finds the one that users who do not exist should cost, and the forms that should go. */
export class PasswordSurvey {
  readonly #check: PasswordCheck
  readonly #costs = new Map<string, { readonly stored: StoredPassword; count: number }>()
  readonly #forms = new Map<PasswordForm, number>()

  constructor(check: PasswordCheck) {
    this.#check = check
  }

  /** Throws what `readStoredPassword` throws. */
  add(user: { readonly username: string; readonly password: string }): void {
    const stored = this.#check.read(user)
    const known = this.#costs.get(stored.cost)
    if (known === undefined) this.#costs.set(stored.cost, { stored, count: 1 })
    else known.count++
    this.#forms.set(stored.form, (this.#forms.get(stored.form) ?? 0) + 1)
  }

  /** Like the most frequent of the values. */
  decoy(): StoredPassword {
    const [most] = [...this.#costs.values()].toSorted((a, b) => b.count - a.count)
    if (most === undefined) throw new ConfigurationError('ERR_USER_STORE_EMPTY', 'A store without users has nothing to imitate.')
    return most.stored.decoy()
  }

  /** Warns of every form that is no sound hash, with the number of its users. */
  warn(): void {
    for (const [form, count] of this.#forms) this.#check.warnOf(form, `${count} password(s)`)
  }
}

/**
 * The password together with the value that it was verified against, so that it is believed for that value only. Each
 * part is preceded by its length: no two different pairs read the same.
 */
function believedAs({ username, password: value }: UserRecord, password: Secret): string {
  return hmac('sha256', believedKey, `${username.length}:${username}${value.length}:${value}${password.reveal()}`).toString('latin1')
}

/** The user without the stored value, which nobody beyond the store needs. */
function userOf(record: UserRecord): User {
  const { password: _, ...user } = record
  return user
}
