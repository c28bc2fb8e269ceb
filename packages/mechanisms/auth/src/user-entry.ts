import { ConfigurationError } from '@portcullis/core'
import { maxUsernameLength } from './user-store.ts'

/** A user as written down: in a file, or in code. */
export interface UserEntry {
  /** Compared exactly. Without colon, which Basic cannot carry in a name (RFC 7617 section 2). */
  readonly username: string
  /** The hash of the password as PHC string, as `portcullis password hash` prints it; legacy forms are read with a warning. */
  readonly password: string
  readonly scopes?: readonly string[]
}

/**
 * Checks an entry out of data; `name` is the user name where the key of a table holds it. Scopes are a list, or one
 * text with commas. Throws `ERR_USER_STORE_MALFORMED`; the message names the user and never shows a value.
 */
export function readUserEntry(where: string, value: unknown, name?: string): UserEntry {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw malformed(`${where}${name === undefined ? '' : `, user "${name}"`}: a user must be a table.`)
  const { username = name, password, scopes, ...rest } = value as Record<string, unknown>
  if (typeof username !== 'string' || username === '') throw malformed(`${where}: a user has no username.`)
  const user = `${where}, user "${username.slice(0, maxUsernameLength).replace(/\p{Cc}/gu, '?')}"`
  if (name !== undefined && 'username' in value)
    throw malformed(`${user}: the key of the table is the user name, a "username" has no place in it.`)
  if (username.length > maxUsernameLength || /[:\p{Cc}]/u.test(username) || !username.isWellFormed())
    throw malformed(`${user}: the user name is too long, or contains a colon or control characters.`)
  if (typeof password !== 'string' || password === '') throw malformed(`${user}: "password" must be a text that is not empty.`)
  const [unknown] = Object.keys(rest)
  if (unknown !== undefined) throw malformed(`${user}: there is no "${unknown}"; known are username, password, scopes.`)
  const list = typeof scopes === 'string' ? scopes.split(',').map((scope) => scope.trim()) : (scopes ?? [])
  if (!Array.isArray(list) || !list.every((scope) => typeof scope === 'string' && scope !== ''))
    throw malformed(`${user}: "scopes" must be a list of texts, none of them empty.`)
  return { username, password, scopes: list as readonly string[] }
}

function malformed(message: string): ConfigurationError {
  return new ConfigurationError('ERR_USER_STORE_MALFORMED', message)
}
