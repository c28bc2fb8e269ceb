import { ConfigurationError } from '@portcullis/core'
import { parse, TomlError } from 'smol-toml'
import type { AuthErrorCode } from './errors.ts'
import type { UserEntry } from './user-entry.ts'
import { readUserEntry } from './user-entry.ts'

/** The tables that are looked at when none is named: our own, and those of Ballerina Swan Lake and 1.2. */
export const defaultUserTables: readonly string[] = ['users', 'ballerina.auth.users', 'b7a.users']

// Parsing this much takes a millisecond or two, so that requests go on between two slices.
const sliceLength = 32_768

/**
 * Reads users out of TOML, in either shape: a list, `[[users]]` with `username`, `password` and `scopes`, or a table
 * per user, `[users."tom"]` with `password` and `scopes`. A file has one shape; everything outside the tables is left
 * alone.
 *
 * A generator, so that a large text need not be read in one go: it yields between slices, and returns the users by
 * name. A text is cut only before lines that begin with `[`. Where such a line stands inside a text or list of several
 * lines, the slice before it is unfinished and does not parse; it then grows until it does.
 *
 * Throws `ERR_USER_STORE_MALFORMED`, `ERR_USER_DUPLICATE`, `ERR_USER_STORE_EMPTY`. No message holds a value of the text.
 */
export function* readUsers(where: string, text: string, tables: readonly string[]): Generator<undefined, Map<string, UserEntry>> {
  const users = new Map<string, UserEntry>()
  const paths = tables.map((table) => table.split('.'))
  let shape: 'list' | 'table' | undefined
  for (const slice of slices(where, text)) {
    for (const path of paths) {
      const found = path.reduce<unknown>((value, key) => (isTable(value) ? value[key] : undefined), slice)
      if (found === undefined) continue
      const inTable = path.join('.')
      if (!Array.isArray(found) && !isTable(found)) throw malformed(where, `"${inTable}" is neither a list nor a table of users`)
      const seen = Array.isArray(found) ? 'list' : 'table'
      if (shape !== undefined && shape !== seen)
        throw malformed(where, `"${inTable}" mixes the list [[${inTable}]] with tables [${inTable}.…]`)
      shape = seen
      const entries = Array.isArray(found)
        ? found.map((value: unknown) => readUserEntry(`${where}, [[${inTable}]]`, value))
        : Object.entries(found).map(([name, value]) => readUserEntry(`${where}, [${inTable}]`, value, name))
      for (const entry of entries) {
        if (users.has(entry.username)) throw fault('ERR_USER_DUPLICATE', `${where} has the user "${entry.username}" twice.`)
        users.set(entry.username, entry)
      }
    }
    yield
  }
  if (users.size === 0)
    throw fault('ERR_USER_STORE_EMPTY', `${where} holds no users; looked for ${tables.map((table) => `[[${table}]]`).join(', ')}.`)
  return users
}

function* slices(where: string, text: string): Generator<Record<string, unknown>> {
  let start = 0
  let line = 1
  while (start < text.length) {
    for (let length = sliceLength; ; length *= 2) {
      const end = nextTable(text, start + length)
      const slice = text.slice(start, end)
      try {
        yield parse(slice)
      } catch (error) {
        if (!(error instanceof TomlError)) throw error
        if (end < text.length) continue
        // The library's message shows the lines around the fault, and with them passwords.
        throw malformed(where, `line ${line + error.line - 1}, column ${error.column} is no valid TOML`)
      }
      start = end
      line += slice.split('\n').length - 1
      break
    }
  }
}

function nextTable(text: string, from: number): number {
  const at = text.indexOf('\n[', from)
  return at === -1 ? text.length : at + 1
}

function isTable(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Date)
}

function malformed(where: string, what: string): ConfigurationError {
  return fault('ERR_USER_STORE_MALFORMED', `${where}: ${what}.`)
}

function fault(code: AuthErrorCode, message: string): ConfigurationError {
  return new ConfigurationError(code, message)
}
