import { peerShare, reportLater } from '@portcullis/auth'
import type { User, UserCredential, UserRefusal, UserStore, UserStoreContext } from '@portcullis/auth'
import { BoundedCache, ConfigurationError, secret, UnavailableError } from '@portcullis/core'
import type { Secret } from '@portcullis/core'
import type { ClientTlsBundle } from '@portcullis/tls'
import { isTlsBundle, tlsBundle } from '@portcullis/tls'
import type { Filter } from 'ldapts'
import { randomUUID } from 'node:crypto'
import type { ConnectionSettings, Found } from './connection.ts'
import { Connection } from './connection.ts'
import { LoginGate } from './login-gate.ts'
import type { LdapUserStoreOptions, Settings } from './options.ts'
import { settingsOf } from './options.ts'
import { SearcherPool } from './searcher-pool.ts'

/** A user store over a directory. */
export interface LdapUserStore extends UserStore, AsyncDisposable {
  /**
   * Makes sure, now, that the directory answers, takes the searcher, has all the bases, and has these groups below
   * them: a policy that names a group which does not exist lets nobody in. Throws `ERR_LDAP_CHECK` for what is not
   * there, and what logins throw.
   */
  check(expected?: { readonly groups?: readonly string[]; readonly signal?: AbortSignal }): Promise<void>
  /** Ends all connections; logins that follow throw `ERR_LDAP_CLOSED`. */
  close(): Promise<void>
}

/** The most groups of one user that are read. */
export const maxGroupsPerUser = 1_000

// Each holds the names of one user's groups.
const maxRememberedUsers = 10_000

/**
 * Proves users against an LDAP directory: finds the one entry of the user as a searcher, binds as that entry with the
 * password on a connection of its own, and makes the names of the user's groups the scopes.
 *
 * Nothing is connected until the first login, so a directory that is down fails logins as `unavailable` and never the
 * start; {@link LdapUserStore.check} asks at once. Nothing is sent before TLS. Referrals are not followed. The subject
 * is the name as the directory writes it, since it compares names without case.
 *
 * A directory tells nobody when a user is removed or loses a group: live sessions last until they expire. Nothing limits
 * attempts but the directory's own password policy.
 *
 * Throws core's `ERR_OPTION_*` and `ERR_TLS_MATERIAL`. Logins throw `UnavailableError` with `ERR_LDAP_*`.
 */
export async function ldapUserStore(options: LdapUserStoreOptions): Promise<LdapUserStore> {
  const settings = settingsOf(options)
  return new DirectoryStore(settings, await tlsBundle(options.tls), !isTlsBundle(options.tls))
}

class DirectoryStore implements LdapUserStore {
  readonly name: string
  readonly #settings: Settings
  readonly #connection: ConnectionSettings
  readonly #searchers: SearcherPool
  readonly #gate: LoginGate
  readonly #groups: BoundedCache<string, readonly string[]> | undefined
  readonly #ownsBundle: boolean
  #closed = false

  constructor(settings: Settings, tls: ClientTlsBundle, ownsBundle: boolean) {
    const { address, connectTimeoutMs, readTimeoutMs, searcher, poolSize, retries, clock, maxLogins, maxWaiting } = settings
    this.name = settings.name
    this.#settings = settings
    this.#ownsBundle = ownsBundle
    this.#connection = { address, tls, connectTimeoutMs, readTimeoutMs }
    this.#searchers = new SearcherPool({ connection: this.#connection, ...searcher, maxConnections: poolSize, retries, clock })
    this.#gate = new LoginGate({
      concurrency: maxLogins,
      queue: maxWaiting,
      perSource: Math.max(1, Math.floor((maxLogins + maxWaiting) / 4)),
    })
    this.#groups = settings.groups?.rememberForMs === undefined ? undefined : new BoundedCache({ maxEntries: maxRememberedUsers, clock })
  }

  async authenticate({ username, password }: UserCredential, { signal, remoteAddress }: UserStoreContext): Promise<User | UserRefusal> {
    if (username === '') return 'unknownUser'
    // To a directory, a bind without a password is the wish to be nobody, and it agrees (RFC 4513 section 5.1.2).
    if (password.reveal() === '') return 'wrongPassword'
    return this.#gate.run(peerShare(remoteAddress), signal, () => this.#login(username, password, signal))
  }

  async check({
    groups = [],
    signal = new AbortController().signal,
  }: { readonly groups?: readonly string[]; readonly signal?: AbortSignal } = {}): Promise<void> {
    const { users, groups: search } = this.#settings
    if (groups.length > 0 && search === undefined) throw notThere('the groups, since none are configured')
    await this.#searchers.use(async (connection) => {
      for (const base of [...users.bases, ...(search?.bases ?? [])]) {
        if (!(await connection.exists(base))) throw notThere(`the entry "${base}"`)
      }
      for (const group of groups) {
        if (search !== undefined && (await searchAll(connection, search.bases, search.byName(group), search.nameAttribute, 1)).length === 0)
          throw notThere(`a group "${group}"`)
      }
    }, signal)
  }

  async close(): Promise<void> {
    this.#closed = true
    this.#searchers.close()
    if (this.#ownsBundle) this.#connection.tls.close()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #login(username: string, password: Secret, signal: AbortSignal): Promise<User | UserRefusal> {
    if (this.#closed) throw new UnavailableError('ERR_LDAP_CLOSED', 'The store was closed.')
    const { users } = this.#settings
    const entries = await this.#searchers.use(
      (connection) => searchAll(connection, users.bases, users.find(username), users.nameAttribute, 1),
      signal,
    )
    const [entry] = entries
    if (entry === undefined) {
      // The same work as for a user who exists, so that no clock tells.
      await this.#bind(`cn=${randomUUID()},${users.bases[0]}`, secret(randomUUID()), signal)
      return 'unknownUser'
    }
    const name = entries.length === 1 ? nameOf(entry, username) : undefined
    if (name === undefined) {
      const found =
        entries.length === 1 ? `"${entry.dn}" without a single ${users.nameAttribute}` : entries.map(({ dn }) => `"${dn}"`).join(' and ')
      reportLater(this.#settings.report, {
        type: 'warning',
        code: 'ERR_LDAP_USER_AMBIGUOUS',
        message: `Store "${this.name}": the search for a user found ${found}.`,
      })
      return 'notPermitted'
    }
    const refused = await this.#bind(entry.dn, password, signal)
    if (refused !== undefined) return refused === invalidCredentials ? 'wrongPassword' : 'notPermitted'
    return { username: name, scopes: await this.#groupsOf(entry.dn, name, signal) }
  }

  /** Binds on a connection that is used for nothing else, before or after: who is bound to it is never in doubt. */
  async #bind(dn: string, password: Secret, signal: AbortSignal): Promise<number | undefined> {
    const connection = await Connection.open(this.#connection, signal)
    try {
      return await connection.bind(dn, password)
    } finally {
      connection.close()
    }
  }

  async #groupsOf(dn: string, username: string, signal: AbortSignal): Promise<readonly string[]> {
    const { groups, clock } = this.#settings
    if (groups === undefined) return []
    const remembered = this.#groups?.get(dn)
    if (remembered !== undefined) return remembered
    const filter = groups.byMember(groups.memberIs === 'entry' ? dn : username)
    const entries = await this.#searchers.use(
      (connection) => searchAll(connection, groups.bases, filter, groups.nameAttribute, maxGroupsPerUser),
      signal,
    )
    if (entries.length > maxGroupsPerUser)
      throw new UnavailableError('ERR_LDAP_ANSWER_TOO_LARGE', `"${username}" is in more than ${maxGroupsPerUser} groups.`)
    const names = [...new Set(entries.flatMap(({ values }) => values))]
    if (groups.rememberForMs !== undefined) this.#groups?.set(dn, names, clock.now() + groups.rememberForMs)
    return names
  }
}

const invalidCredentials = 49

/** Searches below all bases, which may lie in each other: an entry counts once. Ends when more than `maxEntries` are found. */
async function searchAll(
  connection: Connection,
  bases: readonly string[],
  filter: Filter,
  attribute: string,
  maxEntries: number,
): Promise<readonly Found[]> {
  const found = new Map<string, Found>()
  for (const base of bases) {
    for (const entry of await connection.search({ base, filter, attribute, maxEntries })) found.set(entry.dn.toLowerCase(), entry)
    if (found.size > maxEntries) break
  }
  return [...found.values()]
}

/** The name under which the directory keeps a user: the one value, or of several the one that was presented. */
function nameOf({ values }: Found, presented: string): string | undefined {
  const [first] = values
  return values.length <= 1 ? first : values.find((value) => value.toLowerCase() === presented.toLowerCase())
}

function notThere(what: string): ConfigurationError {
  return new ConfigurationError('ERR_LDAP_CHECK', `The directory does not have ${what}, or the searcher may not see it.`)
}
