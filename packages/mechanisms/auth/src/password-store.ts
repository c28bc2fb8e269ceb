import { checkOptions, ConfigurationError, requireFunction, requireText } from '@portcullis/core'
import type { PasswordPolicy } from '@portcullis/crypto'
import { defaultPasswordPolicy, hashPassword } from '@portcullis/crypto'
import type { PasswordOptions, UserRecord } from './password-check.ts'
import { PasswordCheck, passwordOptions } from './password-check.ts'
import type { PasswordForm, StoredPassword } from './stored-password.ts'
import { isThenable } from './thenable.ts'
import type { UserStore, UserStoreContext } from './user-store.ts'

/** How {@link passwordStore} is set up. */
export interface PasswordStoreOptions extends PasswordOptions {
  /** Becomes the `issuer` of the principals. */
  readonly name: string
  /**
   * Looks a user up by name, anew for each login, at the same cost whether there is one or not. An outage is thrown as
   * `UnavailableError`.
   */
  readonly find: (username: string, context: UserStoreContext) => UserRecord | null | undefined | Promise<UserRecord | null | undefined>
}

/**
 * Makes a user store over a look-up of one's own, such as a table of a database: it verifies passwords in bounded
 * numbers, spends the same on users who do not exist, remembers successes for a minute, and tells which values to
 * replace. Nothing of it grows with the number of users.
 *
 * It knows of a change when it looks up; live sessions end at once only if `find` hands out a `revocation`.
 */
export function passwordStore(options: PasswordStoreOptions): UserStore {
  checkOptions<PasswordStoreOptions>('passwordStore', options, { name: true, find: true, ...passwordOptions })
  const name = requireText('The name of passwordStore', options.name)
  const find = requireFunction('The find of passwordStore', options.find)
  const check = new PasswordCheck(name, options)
  const warned = new Set<PasswordForm>()
  // What the last user cost is what one who does not exist costs.
  let last: StoredPassword | undefined
  const seen = (stored: StoredPassword): void => {
    last = stored
    if (warned.has(stored.form)) return
    warned.add(stored.form)
    check.warnOf(stored.form, 'there are passwords')
  }
  const first = firstDecoy(options.policy ?? defaultPasswordPolicy)
  return {
    name,
    authenticate(credential, context) {
      const judge = (found: UserRecord | null | undefined) =>
        check.verdict(recordOf(name, found), credential, context, last?.decoy() ?? first, seen)
      const found = find(credential.username, context)
      return isThenable(found) ? Promise.resolve(found).then(judge) : judge(found)
    },
  }
}

function recordOf(name: string, found: UserRecord | null | undefined): UserRecord | undefined {
  if (found === undefined || found === null) return undefined
  if (typeof found === 'object' && typeof found.username === 'string' && typeof found.password === 'string') return found
  throw new ConfigurationError(
    'ERR_USER_STORE_FAULTY',
    `The find of store "${name}" returned something that is no user with "username" and "password".`,
  )
}

/** Before any user was seen: hashing costs what verifying will. */
function firstDecoy(policy: PasswordPolicy): StoredPassword {
  const self: StoredPassword = {
    form: 'hash',
    cost: '',
    verify: (password, { source, signal, limiter }) => hashPassword(password, { policy, source, signal, limiter }).then(() => false),
    decoy: () => self,
  }
  return self
}
