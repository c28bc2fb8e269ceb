import {
  absent,
  allOf,
  anyOf,
  checkOptions,
  everyone,
  requireText,
  scope,
  withScopes,
  type Anonymous,
  type Authorizer,
  type Everyone,
  type Policy,
  type Principal,
} from '@portcullis/core'
import type { Mechanisms } from './mechanisms.ts'
import { mistake, placedNow } from './mistake.ts'
import { below, isTable, type Plain } from './plain-data.ts'

type Party = Principal | Anonymous
type Several<T> = readonly [T, ...T[]]
type Read<T> = (where: string, value: Plain) => T

/** What `authenticate` says: a mechanism, a list of which one is enough, or a list of lists of which all are needed. */
export function readAuthenticate(where: string, value: Plain, mechanisms: Mechanisms, mayBeAnonymous: boolean): Policy<Party> | Everyone {
  if (value === 'everyone') {
    if (!mayBeAnonymous) throw anonymousHere(where, 'everyone')
    return everyone()
  }
  const entry: Read<Policy<Party>> = (here, each) => {
    if (typeof each === 'string') return mechanismOf(here, each, where, mechanisms, mayBeAnonymous)
    if (!isTable(each)) throw mistake('ERR_OPTION_INVALID', here, 'must be a name, or { use = "name", scopes = [...] }.')
    checkOptions(here, each, { use: true, scopes: true })
    const use = requireText(below(here, 'use'), each['use'])
    if (use === 'absent') throw mistake('ERR_OPTION_INVALID', below(here, 'use'), 'is "absent", who has no scopes.')
    if (each['scopes'] === undefined) throw mistake('ERR_OPTION_MISSING', below(here, 'scopes'), 'is required.')
    return withScopes(
      mechanismOf(below(here, 'use'), use, where, mechanisms, mayBeAnonymous),
      readScopes(below(here, 'scopes'), each['scopes']),
    )
  }
  return listForms<Policy<Party>>(
    where,
    value,
    entry,
    (list) => anyOf(...list),
    (list) => allOf(...list),
  )
}

/** What `scopes` says: a scope, a list of which one is enough, or a list of lists of which all are needed. */
export function readScopes(where: string, value: Plain): Authorizer {
  const one: Read<Authorizer> = (here, name) => scope(requireText(here, name))
  return listForms<Authorizer>(
    where,
    value,
    one,
    (list) => anyOf(...list),
    (list) => allOf(...list),
  )
}

function mechanismOf(where: string, name: string, level: string, mechanisms: Mechanisms, mayBeAnonymous: boolean): Policy<Party> {
  if (name === 'everyone') throw mistake('ERR_OPTION_INVALID', where, 'is "everyone", which stands alone and not in a list.')
  if (name === 'absent') {
    if (!mayBeAnonymous) throw anonymousHere(level, 'absent')
    return absent()
  }
  const found = mechanisms.get(name)
  if (found === undefined)
    throw mistake('ERR_CONFIG_MECHANISM_UNKNOWN', where, `names "${name}"; known are ${[...mechanisms.keys()].join(', ') || 'none'}.`)
  return found
}

function anonymousHere(where: string, word: string) {
  return mistake(
    'ERR_CONFIG_ANONYMOUS',
    where,
    `says "${word}"; that takes effect only where the calling code has \`anonymous: ['${where}']\`.`,
  )
}

/** One value, a list for OR, a list of lists for AND of ORs (D-5). */
function listForms<T>(where: string, value: Plain, one: Read<T>, or: (all: Several<T>) => T, and: (all: Several<T>) => T): T {
  if (!Array.isArray(value)) return one(where, value)
  const isNested = value.some((each) => Array.isArray(each))
  return isNested ? combine(where, value, (here, each) => combine(here, each, one, or), and) : combine(where, value, one, or)
}

function combine<T>(where: string, value: Plain, read: Read<T>, join: (all: Several<T>) => T): T {
  if (!Array.isArray(value))
    throw mistake('ERR_OPTION_INVALID', where, 'stands among lists and is none: [a, b] is OR, [[a, b], [c]] is AND of ORs.')
  const [first, ...others] = (value as readonly Plain[]).map((each, at) => read(`${where}[${at}]`, each))
  if (first === undefined) throw mistake('ERR_POLICY_EMPTY', where, 'is an empty list, which is no policy.')
  return others.length === 0 ? first : placedNow(where, () => join([first, ...others]))
}
