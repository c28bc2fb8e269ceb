import { checkOptions, ConfigurationError, requireText } from '@portcullis/core'
import type { PasswordOptions } from './password-check.ts'
import { PasswordCheck, passwordOptions, PasswordSurvey } from './password-check.ts'
import type { UserEntry } from './user-entry.ts'
import { readUserEntry } from './user-entry.ts'
import type { UserStore } from './user-store.ts'

/** How {@link memoryUserStore} is set up. */
export interface MemoryUserStoreOptions extends PasswordOptions {
  /** Becomes the `issuer` of the principals. */
  readonly name: string
  readonly users: readonly UserEntry[]
}

/**
 * Keeps a few users that the calling code lists, such as operators whose hashes come from the environment. They do not
 * change; users who come and go belong into {@link fileUserStore} or a store over a database.
 *
 * Throws `ERR_USER_STORE_EMPTY`, `ERR_USER_DUPLICATE`, and what {@link fileUserStore} throws of a user.
 */
export function memoryUserStore(options: MemoryUserStoreOptions): UserStore {
  checkOptions<MemoryUserStoreOptions>('memoryUserStore', options, { name: true, users: true, ...passwordOptions })
  const name = requireText('The name of memoryUserStore', options.name)
  if (!Array.isArray(options.users) || options.users.length === 0)
    throw new ConfigurationError('ERR_USER_STORE_EMPTY', `memoryUserStore "${name}" has no users.`)
  const check = new PasswordCheck(name, options)
  const survey = new PasswordSurvey(check)
  const users = new Map<string, UserEntry>()
  for (const value of options.users as readonly unknown[]) {
    const entry = readUserEntry(`memoryUserStore "${name}"`, value)
    if (users.has(entry.username))
      throw new ConfigurationError('ERR_USER_DUPLICATE', `memoryUserStore "${name}" has the user "${entry.username}" twice.`)
    users.set(entry.username, entry)
    survey.add(entry)
  }
  const decoy = survey.decoy()
  survey.warn()
  return { name, authenticate: (credential, context) => check.verdict(users.get(credential.username), credential, context, decoy) }
}
