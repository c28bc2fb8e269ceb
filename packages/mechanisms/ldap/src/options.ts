import type { Clock, Secret } from '@portcullis/core'
import {
  checkOptions,
  ConfigurationError,
  isSecret,
  requireFunction,
  requireNumber,
  requireText,
  requireTexts,
  secret,
  systemClock,
} from '@portcullis/core'
import type { StoreReport } from '@portcullis/auth'
import type { ClientTlsBundle, ClientTlsOptions } from '@portcullis/tls'
import type { FilterFor } from './filter.ts'
import { both, equality, filterTemplate, fixedFilter } from './filter.ts'
import type { DirectoryAddress } from './secure-socket.ts'

/** Where the users are, and how one is found. */
export interface UserSearch {
  /** The names of the entries below which users are. A user is searched below all of them, and must be found exactly once. */
  readonly bases: string | readonly string[]
  /** The attribute whose value is the user's name, the principal's subject. Default `uid`. */
  readonly nameAttribute?: string
  /** The class of the entries of users. Default `inetOrgPerson`. It makes the two filters below where they are not given. */
  readonly objectClass?: string
  /** Finds a user; every `?` stands for the name as presented. Default `(&(objectClass=…)(…=?))`. */
  readonly searchFilter?: string
  /** Who counts as a user at all, such as those whose account is not locked. Default `(objectClass=…)`. Holds together with the filter above. */
  readonly listFilter?: string
}

/** Where the groups are, and who is a member. The names of a user's groups become the scopes. */
export interface GroupSearch {
  /** The names of the entries below which groups are. */
  readonly bases: string | readonly string[]
  /** The attribute whose values become scopes. Default `cn`. */
  readonly nameAttribute?: string
  /** The class of the entries of groups. Default `groupOfNames`. It makes the filters below where they are not given. */
  readonly objectClass?: string
  /** Finds a group by its name, for {@link LdapUserStore.check}; every `?` stands for the name. Default `(&(objectClass=…)(…=?))`. */
  readonly searchFilter?: string
  /** Which groups count. Default `(objectClass=…)`. */
  readonly listFilter?: string
  /** The attribute that names the members. Default `member`. It holds their entries' names, or for `memberUid` their user names. */
  readonly membershipAttribute?: string
  /**
   * How long a user's groups are remembered, in milliseconds, up to an hour: a user who leaves a group keeps its scope
   * for as long. Absent: they are searched at each login. The password is never remembered.
   */
  readonly rememberForMs?: number
}

/** How {@link ldapUserStore} is set up. */
export interface LdapUserStoreOptions {
  /** Becomes the `issuer` of the principals, such as the directory's domain. */
  readonly name: string
  /**
   * `ldaps://host` (port 636) is TLS from the first byte; `ldap://host` (port 389) begins TLS by StartTLS before
   * anything else is sent, and ends where the directory does not offer it. There is no clear text.
   */
  readonly url: string
  /** Whom to trust there; see `@portcullis/tls`. A bundle stays yours to close. */
  readonly tls: ClientTlsOptions | ClientTlsBundle
  /** As whom users and groups are searched: an account that may read them and no more. */
  readonly searcher: { readonly dn: string; readonly password: string | Secret }
  readonly users: UserSearch
  /** Absent: users have no scopes. */
  readonly groups?: GroupSearch
  /** The longest that opening a connection may take, TLS included, in milliseconds. Default 5,000. */
  readonly connectTimeoutMs?: number
  /** The longest that one answer may take, in milliseconds. Default 10,000: nobody waits longer for a login. */
  readonly readTimeoutMs?: number
  /** How many connections the searcher keeps and uses at once, from 1 to 64. Default 4. */
  readonly poolSize?: number
  /** How often a search is tried again after its connection broke, from 0 to 5. Default 1, since idle connections die unseen. A user's password is never tried twice. */
  readonly retries?: number
  /** How many logins run at once, from 1 to 256. Default 16. */
  readonly maxLogins?: number
  /** How many more may wait; further ones are refused as overload. Default 64. A peer gets a quarter of all places. */
  readonly maxWaiting?: number
  /** Hears of what an operator should look into: ambiguous users, a refused searcher. */
  readonly report?: StoreReport
  readonly clock?: Clock
}

/** Options with defaults filled in and filters read. */
export interface Settings {
  readonly name: string
  readonly address: DirectoryAddress
  readonly searcher: { readonly dn: string; readonly password: Secret }
  readonly users: { readonly bases: readonly string[]; readonly nameAttribute: string; readonly find: FilterFor }
  readonly groups: GroupSettings | undefined
  readonly connectTimeoutMs: number
  readonly readTimeoutMs: number
  readonly poolSize: number
  readonly retries: number
  readonly maxLogins: number
  readonly maxWaiting: number
  readonly report: StoreReport | undefined
  readonly clock: Clock
}

/** The part of {@link Settings} on groups. */
export interface GroupSettings {
  readonly bases: readonly string[]
  readonly nameAttribute: string
  readonly byName: FilterFor
  /** By member: the name of the entry, or the user name. */
  readonly byMember: FilterFor
  readonly memberIs: 'entry' | 'username'
  readonly rememberForMs: number | undefined
}

const topKeys = {
  name: true, url: true, tls: true, searcher: true, users: true, groups: true, connectTimeoutMs: true, readTimeoutMs: true,
  poolSize: true, retries: true, maxLogins: true, maxWaiting: true, report: true, clock: true,
} as const // prettier-ignore

/** Checks options and fills in defaults. Throws core's `ERR_OPTION_*`. */
export function settingsOf(options: LdapUserStoreOptions): Settings {
  checkOptions<LdapUserStoreOptions>('ldapUserStore', options, topKeys)
  const { connectTimeoutMs = 5_000, readTimeoutMs = 10_000, poolSize = 4, retries = 1, maxLogins = 16, maxWaiting = 64 } = options
  return {
    name: requireText('The name of ldapUserStore', options.name),
    address: addressOf(options.url),
    searcher: searcherOf(options.searcher),
    users: usersOf(options.users),
    groups: options.groups === undefined ? undefined : groupsOf(options.groups),
    connectTimeoutMs: requireNumber('connectTimeoutMs of ldapUserStore', connectTimeoutMs, { min: 1, max: 120_000 }),
    readTimeoutMs: requireNumber('readTimeoutMs of ldapUserStore', readTimeoutMs, { min: 1, max: 120_000 }),
    poolSize: requireNumber('poolSize of ldapUserStore', poolSize, { min: 1, max: 64 }),
    retries: requireNumber('retries of ldapUserStore', retries, { min: 0, max: 5 }),
    maxLogins: requireNumber('maxLogins of ldapUserStore', maxLogins, { min: 1, max: 256 }),
    maxWaiting: requireNumber('maxWaiting of ldapUserStore', maxWaiting, { min: 1, max: 10_000 }),
    report: options.report === undefined ? undefined : requireFunction('The report of ldapUserStore', options.report),
    clock: options.clock ?? systemClock,
  }
}

const defaultPorts = { 'ldap:': 389, 'ldaps:': 636 } as const

function addressOf(text: unknown): DirectoryAddress {
  const url = URL.canParse(requireText('The url of ldapUserStore', text)) ? new URL(text as string) : undefined
  const known = url !== undefined && (url.protocol === 'ldap:' || url.protocol === 'ldaps:') && url.hostname !== ''
  if (!known || url.username !== '' || url.password !== '' || !['', '/'].includes(url.pathname) || url.search !== '' || url.hash !== '') {
    throw invalid('The url of ldapUserStore must be ldaps://host or ldap://host, with a port or without, and nothing else.')
  }
  const protocol = url.protocol as keyof typeof defaultPorts
  return {
    host: url.hostname.replace(/^\[(.*)\]$/, '$1'),
    port: url.port === '' ? defaultPorts[protocol] : Number(url.port),
    tls: protocol === 'ldaps:' ? 'ldaps' : 'startTls',
  }
}

function searcherOf(searcher: LdapUserStoreOptions['searcher']): Settings['searcher'] {
  checkOptions<LdapUserStoreOptions['searcher']>('The searcher of ldapUserStore', searcher, { dn: true, password: true })
  const { dn, password } = searcher
  if ((typeof password !== 'string' && !isSecret(password)) || secret(password).reveal() === '')
    throw invalid('The password of the searcher of ldapUserStore must be a text or secret that is not empty.')
  return { dn: entryName('The dn of the searcher of ldapUserStore', dn), password: secret(password) }
}

function usersOf(users: UserSearch): Settings['users'] {
  const where = 'The users of ldapUserStore'
  checkOptions<UserSearch>(where, users, { bases: true, nameAttribute: true, objectClass: true, searchFilter: true, listFilter: true })
  const nameAttribute = attributeName(`${where}: nameAttribute`, users.nameAttribute ?? 'uid')
  const listed = listFilterOf(where, users, 'inetOrgPerson')
  const named = users.searchFilter === undefined ? equality(nameAttribute) : filterTemplate(`${where}: searchFilter`, users.searchFilter)
  return { bases: basesOf(where, users.bases), nameAttribute, find: both(listed, named) }
}

function groupsOf(groups: GroupSearch): GroupSettings {
  const where = 'The groups of ldapUserStore'
  checkOptions<GroupSearch>(where, groups, {
    bases: true,
    nameAttribute: true,
    objectClass: true,
    searchFilter: true,
    listFilter: true,
    membershipAttribute: true,
    rememberForMs: true,
  })
  const nameAttribute = attributeName(`${where}: nameAttribute`, groups.nameAttribute ?? 'cn')
  const membershipAttribute = attributeName(`${where}: membershipAttribute`, groups.membershipAttribute ?? 'member')
  const listed = listFilterOf(where, groups, 'groupOfNames')
  const named = groups.searchFilter === undefined ? equality(nameAttribute) : filterTemplate(`${where}: searchFilter`, groups.searchFilter)
  return {
    bases: basesOf(where, groups.bases),
    nameAttribute,
    byName: both(listed, named),
    byMember: both(listed, equality(membershipAttribute)),
    memberIs: membershipAttribute.toLowerCase() === 'memberuid' ? 'username' : 'entry',
    rememberForMs:
      groups.rememberForMs === undefined
        ? undefined
        : requireNumber(`${where}: rememberForMs`, groups.rememberForMs, { min: 1, max: 3_600_000 }),
  }
}

function listFilterOf(where: string, search: UserSearch | GroupSearch, defaultClass: string): ReturnType<FilterFor> {
  if (search.listFilter !== undefined) return fixedFilter(`${where}: listFilter`, search.listFilter)
  return equality('objectClass')(attributeName(`${where}: objectClass`, search.objectClass ?? defaultClass))
}

function basesOf(where: string, bases: string | readonly string[]): readonly string[] {
  return requireTexts(`${where}: bases`, bases).map((base) => entryName(`${where}: bases`, base))
}

// RFC 4512 section 1.4: a name of letters, digits and hyphens. Object identifiers the filter library does not read.
function attributeName(where: string, value: unknown): string {
  const name = requireText(where, value)
  if (!/^[A-Za-z][A-Za-z0-9-]*$/.test(name)) throw invalid(`${where} must be a name of letters, digits and hyphens.`)
  return name
}

function entryName(where: string, value: unknown): string {
  const name = requireText(where, value)
  if (!name.includes('=')) throw invalid(`${where} must be the name of an entry, such as "ou=users,dc=example,dc=org".`)
  return name
}

function invalid(message: string): ConfigurationError {
  return new ConfigurationError('ERR_OPTION_INVALID', message)
}
