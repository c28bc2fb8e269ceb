import { checkOptions, isSecurityError, requireNumber, requireText, requireTexts, Revocation, UnavailableError } from '@portcullis/core'
import type { Timer } from '@portcullis/core'
import { setImmediate as nextTurn } from 'node:timers/promises'
import type { PasswordOptions } from './password-check.ts'
import { PasswordCheck, passwordOptions, PasswordSurvey } from './password-check.ts'
import { reportLater } from './store-event.ts'
import type { StoredPassword } from './stored-password.ts'
import type { UserEntry } from './user-entry.ts'
import { absentMark, currentMark, readUserFile, readUserFileSync } from './user-file.ts'
import type { User, UserCredential, UserRefusal, UserStore, UserStoreContext } from './user-store.ts'
import { defaultUserTables, readUsers } from './users-toml.ts'

/** How {@link fileUserStore} is set up. */
export interface FileUserStoreOptions extends PasswordOptions {
  /** Becomes the `issuer` of the principals. */
  readonly name: string
  /** The path of the TOML file. Replace it by renaming a finished one over it: a file that is written in place is seen half-written. */
  readonly file: string
  /** The tables that hold users, such as `staff.users`. Default: `users`, `ballerina.auth.users` and `b7a.users`. */
  readonly tables?: string | readonly string[]
  /** How often the file is looked at, in milliseconds. Default 500: a look costs microseconds, and works where change notices do not. A change counts from the second look that finds it settled. */
  readonly checkEveryMs?: number
  /** How long the last good users count while the file cannot be read, in milliseconds, up to a week. Default: one day. */
  readonly maxStaleMs?: number
}

/** How a {@link FileUserStore} is doing. A gauge over it is the metric to alarm on. */
export interface FileUserStoreStatus {
  readonly users: number
  /** Since when the file has not been readable; absent while all is well. */
  readonly failingSince?: Date
  /** What is wrong with it. */
  readonly failure?: unknown
}

/** A user store over a file that may change while it is used. */
export interface FileUserStore extends UserStore, Disposable {
  readonly status: FileUserStoreStatus
  /** Reads the file now, whatever it looks like. Rejects, keeping the last good users, if it cannot be used. Calls that overlap run one after another. */
  reload(): Promise<void>
  /** Stops looking at the file. The users stay. */
  close(): void
}

/** The longest that last good users can be made to count, in milliseconds: a week. */
export const maxStaleMsLimit = 7 * 86_400_000

// Reading a stored value takes some microseconds, so these take a few milliseconds.
const usersPerSlice = 500

// Loud enough for an operator to see it in any window of a log, and not so loud as to fill it.
const remindEveryMs = 60_000

/**
 * Keeps users in a TOML file, in either shape: `[[users]]` with `username`, `password` and `scopes`, or a table per user,
 * `[users."tom"]` with `password` and `scopes`. Passwords are hashes, as `portcullis password hash` prints them.
 *
 * The file is read once now, and again whenever it changes, in the background and all or nothing. A user who is gone,
 * whose password changed or who lost a scope is revoked with the new content: live sessions end. A file that vanishes,
 * is half-written or unsound leaves the last good users in place, for `maxStaleMs`; so a removal may not have taken
 * effect, and `report` hears `storeFailing` until it is mended. A look-up does not depend on the number of users.
 *
 * Throws `ERR_USER_STORE_UNREADABLE`, `ERR_USER_STORE_MALFORMED`, `ERR_USER_STORE_EMPTY`, `ERR_USER_DUPLICATE` and
 * `ERR_PASSWORD_VALUE_*` for a file that cannot be used now. Later, logins throw `ERR_USER_STORE_STALE` when the last
 * good users are too old.
 */
export function fileUserStore(options: FileUserStoreOptions): FileUserStore {
  checkOptions<FileUserStoreOptions>('fileUserStore', options, {
    name: true,
    file: true,
    tables: true,
    checkEveryMs: true,
    maxStaleMs: true,
    ...passwordOptions,
  })
  return new UserFileStore({
    name: requireText('The name of fileUserStore', options.name),
    file: requireText('The file of fileUserStore', options.file),
    tables: options.tables === undefined ? defaultUserTables : requireTexts('The tables of fileUserStore', options.tables),
    checkEveryMs: requireNumber('checkEveryMs of fileUserStore', options.checkEveryMs ?? 500, { min: 10, max: 3_600_000 }),
    maxStaleMs: requireNumber('maxStaleMs of fileUserStore', options.maxStaleMs ?? 86_400_000, { min: 1, max: maxStaleMsLimit }),
    check: new PasswordCheck(options.name, options),
  })
}

interface Settings {
  readonly name: string
  readonly file: string
  readonly tables: readonly string[]
  readonly checkEveryMs: number
  readonly maxStaleMs: number
  readonly check: PasswordCheck
}

/** What a file said. Replaced as a whole. */
interface Users {
  readonly byName: ReadonlyMap<string, UserEntry>
  readonly decoy: StoredPassword
  readonly survey: PasswordSurvey
}

interface Failure {
  readonly mark: string
  readonly sinceMs: number
  readonly error: unknown
  toldAtMs: number
}

class UserFileStore implements FileUserStore {
  readonly name: string
  readonly #settings: Settings
  /** Of those users who have tried to log in. */
  readonly #revocations = new Map<string, Revocation>()
  #users: Users
  /** The mark of the content in use, and of what the last look saw. */
  #loadedMark: string
  #seenMark: string
  #failure: Failure | undefined
  #queue: Promise<void> = Promise.resolve()
  #timer: Timer | undefined
  #closed = false

  constructor(settings: Settings) {
    this.name = settings.name
    this.#settings = settings
    const { text, mark } = readUserFileSync(settings.file)
    const reading = this.#read(text)
    let step = reading.next()
    while (step.done !== true) step = reading.next()
    this.#users = step.value
    this.#users.survey.warn()
    this.#loadedMark = this.#seenMark = mark
    this.#wait()
  }

  authenticate(credential: UserCredential, context: UserStoreContext): User | UserRefusal | Promise<User | UserRefusal> {
    const { check, maxStaleMs, file } = this.#settings
    if (this.#failure !== undefined && check.clock.now() - this.#failure.sinceMs >= maxStaleMs) {
      throw new UnavailableError('ERR_USER_STORE_STALE', {
        message: `${file} has not been readable since ${new Date(this.#failure.sinceMs).toISOString()}.`,
        cause: this.#failure.error,
      })
    }
    const entry = this.#users.byName.get(credential.username)
    const record = entry && { ...entry, revocation: this.#revocationOf(entry.username) }
    return check.verdict(record, credential, context, this.#users.decoy)
  }

  get status(): FileUserStoreStatus {
    const failure = this.#failure
    return { users: this.#users.byName.size, ...(failure && { failingSince: new Date(failure.sinceMs), failure: failure.error }) }
  }

  reload(): Promise<void> {
    const run = this.#queue.then(() => this.#load())
    this.#queue = run.catch(() => undefined)
    return run
  }

  close(): void {
    this.#closed = true
    this.#timer?.cancel()
  }

  [Symbol.dispose](): void {
    this.close()
  }

  #wait(): void {
    if (this.#closed) return
    this.#timer = this.#settings.check.clock.schedule(this.#settings.checkEveryMs, () => {
      void this.#look().finally(() => this.#wait())
    })
  }

  /** Looks whether the file changed, and reads it when it has stopped to. Never rejects: a failure was reported. */
  async #look(): Promise<void> {
    const mark = await currentMark(this.#settings.file)
    const settled = mark === this.#seenMark
    this.#seenMark = mark
    if (this.#failure === undefined ? mark === this.#loadedMark : mark === this.#failure.mark) this.#remind()
    else if (settled) await this.reload().catch(() => undefined)
  }

  async #load(): Promise<void> {
    const { file } = this.#settings
    const mark = await currentMark(file)
    try {
      const content = await readUserFile(file)
      const reading = this.#read(content.text)
      let step = reading.next()
      while (step.done !== true) {
        await nextTurn()
        step = reading.next()
      }
      this.#loadedMark = content.mark
      this.#swap(step.value)
    } catch (error) {
      this.#failed(mark, error)
      throw error
    }
  }

  *#read(text: string): Generator<undefined, Users> {
    const { file, tables, check } = this.#settings
    const byName = yield* readUsers(file, text, tables)
    const survey = new PasswordSurvey(check)
    let count = 0
    for (const user of byName.values()) {
      survey.add(user)
      if (++count % usersPerSlice === 0) yield
    }
    return { byName, survey, decoy: survey.decoy() }
  }

  #swap(next: Users): void {
    const { file, check } = this.#settings
    const before = this.#users
    this.#users = next
    check.forget()
    for (const [username, revocation] of this.#revocations) {
      if (stands(before.byName.get(username), next.byName.get(username))) continue
      this.#revocations.delete(username)
      try {
        revocation.revoke(`The user was removed from ${file}, or the password or scopes were changed.`)
      } catch (cause) {
        // One session that fails to end must not keep the other users' revocations back.
        reportLater(check.report, { type: 'warning', message: `Store "${this.name}": a session of "${username}" failed to end.`, cause })
      }
    }
    if (this.#failure !== undefined) {
      this.#failure = undefined
      reportLater(check.report, { type: 'storeRecovered', message: `Store "${this.name}": ${file} has been read again.` })
    }
    next.survey.warn()
  }

  #failed(mark: string, error: unknown): void {
    const sinceMs = this.#failure?.sinceMs ?? this.#settings.check.clock.now()
    this.#failure = { mark, sinceMs, error, toldAtMs: this.#settings.check.clock.now() }
    this.#tellFailing(this.#failure)
  }

  #remind(): void {
    const now = this.#settings.check.clock.now()
    if (this.#failure === undefined || now - this.#failure.toldAtMs < remindEveryMs) return
    this.#failure.toldAtMs = now
    this.#tellFailing(this.#failure)
  }

  #tellFailing({ sinceMs, error, mark }: Failure): void {
    const code = isSecurityError(error) ? error.code : 'ERR_USER_STORE_UNREADABLE'
    const what = mark === absentMark ? 'has vanished' : 'cannot be used'
    reportLater(this.#settings.check.report, {
      type: 'storeFailing',
      code,
      message: `Store "${this.name}": ${this.#settings.file} ${what} since ${new Date(sinceMs).toISOString()}. The last good users count; changes since then do not.`,
      cause: error,
    })
  }

  #revocationOf(username: string): Revocation {
    let revocation = this.#revocations.get(username)
    if (revocation === undefined) this.#revocations.set(username, (revocation = new Revocation()))
    return revocation
  }
}

/** Whether what was granted to a user before still is: the same password, and no scope less. */
function stands(before: UserEntry | undefined, now: UserEntry | undefined): boolean {
  if (before === undefined || now === undefined || before.password !== now.password) return false
  return (before.scopes ?? []).every((scope) => now.scopes?.includes(scope) === true)
}
