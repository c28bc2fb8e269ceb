import type { BasicOptions, FileUserStoreOptions, MemoryUserStoreOptions, UserEntry, UserStore } from '@portcullis/auth'
import type { GroupSearch, LdapUserStoreOptions, UserSearch } from '@portcullis/ldap'
import { clientTls } from '../key-readers.ts'
import type { Kind } from '../kind.ts'
import type { Making } from '../making.ts'
import { mistake, placed } from '../mistake.ts'
import { packageOf } from '../package-of.ts'
import { below, isTable, type Plain } from '../plain-data.ts'
import {
  asItStands,
  file,
  number,
  numberOr,
  readTable,
  requireTable,
  secretValue,
  table,
  tableOf,
  text,
  texts,
  type Reader,
  type Shape,
} from '../readers.ts'

/** What every store that verifies passwords gets from code, or from nowhere. */
type InCode = 'policy' | 'rehash' | 'limiter' | 'report' | 'clock' | 'plainText'

const passwords = { decryptionSecret: secretValue, believeForMs: numberOr('never') } as const

const fileShape = { name: text, file, tables: texts, checkEveryMs: number, maxStaleMs: number, ...passwords } satisfies Shape<
  FileUserStoreOptions,
  InCode
>

/** A list of users, or a table by user name (D-23). */
const users: Reader = async (where, value, making) => {
  if (!isTable(value)) return value
  const named = (await tableOf(asItStands)(where, value, making)) as Record<string, Plain>
  return Object.entries(named).map(([username, entry]): UserEntry => {
    if (Object.hasOwn(requireTable(below(where, username), entry), 'username'))
      throw mistake('ERR_OPTION_INVALID', below(where, username), 'is the user name already; a "username" has no place in it.')
    return { username, ...(entry as object) } as UserEntry
  })
}
const memoryShape = { name: text, users, ...passwords } satisfies Shape<MemoryUserStoreOptions, InCode>

const searchShape = {
  bases: texts,
  nameAttribute: text,
  objectClass: text,
  searchFilter: text,
  listFilter: text,
} satisfies Shape<UserSearch>
const ldapShape = {
  name: text,
  url: text,
  tls: clientTls,
  searcher: table({ dn: text, password: secretValue }),
  users: table(searchShape),
  groups: table({ ...searchShape, membershipAttribute: text, rememberForMs: number } satisfies Shape<GroupSearch>),
  connectTimeoutMs: number,
  readTimeoutMs: number,
  poolSize: number,
  retries: number,
  maxLogins: number,
  maxWaiting: number,
} satisfies Shape<LdapUserStoreOptions, 'report' | 'clock'>

type StoreKind = (where: string, options: Record<string, unknown>, making: Making) => Promise<UserStore>

// The stores check what they are given, whatever the type says.
const stores: Readonly<Record<string, { readonly shape: Readonly<Record<string, Reader>>; readonly make: StoreKind }>> = {
  file: {
    shape: fileShape,
    make: async (where, options, making) => {
      const { fileUserStore } = await packageOf(where, '@portcullis/auth', () => import('@portcullis/auth'))
      // It checks what it is given, whatever the type says.
      const store = fileUserStore(options as unknown as FileUserStoreOptions)
      making.closeLater(() => store.close())
      return store
    },
  },
  memory: {
    shape: memoryShape,
    make: async (where, options) => {
      const { memoryUserStore } = await packageOf(where, '@portcullis/auth', () => import('@portcullis/auth'))
      // It checks what it is given, whatever the type says.
      return memoryUserStore(options as unknown as MemoryUserStoreOptions)
    },
  },
  ldap: {
    shape: ldapShape,
    make: async (where, options, making) => {
      const { ldapUserStore } = await packageOf(where, '@portcullis/ldap', () => import('@portcullis/ldap'))
      // It checks what it is given, whatever the type says.
      const store = await ldapUserStore(options as unknown as LdapUserStoreOptions)
      making.closeLater(() => store.close())
      return store
    },
  },
}

/** `store.file`, `store.memory` or `store.ldap`. Principals of it are known by the mechanism's name unless it says otherwise. */
function storeOf(name: string): Reader {
  return async (where, value, making) => {
    const given = Object.keys(requireTable(where, value))
    const [kind = ''] = given
    const found = Object.hasOwn(stores, kind) ? stores[kind] : undefined
    if (found === undefined || given.length !== 1)
      throw mistake(
        'ERR_OPTION_INVALID',
        where,
        `must have one of ${Object.keys(stores).join(', ')}; a store of your own goes into \`inCode\`.`,
      )
    const at = below(where, kind)
    const options = await readTable(at, requireTable(where, value)[kind] ?? null, found.shape, making)
    return placed(at, () => found.make(at, { name, clock: making.clock, report: making.report, ...options }, making))
  }
}

/** `[mechanisms.<name>.basic]`: what `basic()` of `@portcullis/auth` takes. */
export const basicKind: Kind = async (where, value, name, making) => {
  const shape = { store: storeOf(name), realm: text } satisfies Shape<BasicOptions>
  const { basic } = await packageOf(where, '@portcullis/auth', () => import('@portcullis/auth'))
  return basic((await readTable(where, value, shape, making)) as unknown as BasicOptions) // it checks them itself
}
