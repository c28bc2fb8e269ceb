import { UnavailableError } from '@portcullis/core'
import type { Secret } from '@portcullis/core'
import type { ClientTlsBundle } from '@portcullis/tls'
import type { Entry, Filter } from 'ldapts'
import { Client, ResultCodeError } from 'ldapts'
import type { TLSSocket } from 'node:tls'
import { bindQuestion, exchange } from './exchange.ts'
import type { DirectoryAddress } from './secure-socket.ts'
import { openSecureSocket } from './secure-socket.ts'

/** How connections are opened and how long answers may take. */
export interface ConnectionSettings {
  readonly address: DirectoryAddress
  readonly tls: ClientTlsBundle
  readonly connectTimeoutMs: number
  readonly readTimeoutMs: number
}

/** What to look for below a base. */
export interface Search {
  readonly base: string
  readonly filter: Filter
  readonly attribute: string
  readonly maxEntries: number
}

/** An entry: its name, and the values of the one attribute that was asked for. */
export interface Found {
  readonly dn: string
  readonly values: readonly string[]
}

// A thousand entries with a name each are some 200 KB.
const maxBytesPerSearch = 4 * 1024 * 1024

/**
 * One connection to a directory, over TLS, that ends when its socket ends. The library would open another by itself,
 * bound to nobody and without TLS where it began with StartTLS (ldapts issue 348); here it gets this socket, bound, and
 * no other. It never sees a password.
 */
export class Connection {
  readonly #client: Client
  readonly #socket: TLSSocket
  readonly #readTimeoutMs: number
  #budget = maxBytesPerSearch

  /** Opens a connection that is bound to nobody. */
  static async open(settings: ConnectionSettings, signal?: AbortSignal): Promise<Connection> {
    return new Connection(await openSecureSocket(settings.address, settings.tls, settings.connectTimeoutMs, signal), settings)
  }

  private constructor(socket: TLSSocket, { readTimeoutMs }: ConnectionSettings) {
    this.#socket = socket
    this.#readTimeoutMs = readTimeoutMs
    socket.on('error', ignore)
    let given = false
    this.#client = new Client({
      // Only its scheme is looked at.
      url: 'ldaps://directory',
      timeout: readTimeoutMs,
      createSecureConnection: (): TLSSocket => {
        if (given || socket.destroyed) throw new UnavailableError('ERR_LDAP_UNREACHABLE', 'The connection to the directory has ended.')
        given = true
        socket.on('data', (data: Buffer) => this.#count(data.length))
        // By then the library listens.
        process.nextTick(() => socket.resume())
        return socket
      },
    })
  }

  /** Whether it can still be used. */
  get open(): boolean {
    return !this.#socket.destroyed && this.#socket.readyState === 'open'
  }

  /**
   * Binds with a name and password, neither of them empty, before the first search. Returns the result code if the
   * directory refuses these two, whatever they are; throws for every other result but success.
   */
  async bind(dn: string, password: Secret): Promise<number | undefined> {
    // Without a name or password a directory agrees, to nobody (RFC 4513 sections 5.1.1 and 5.1.2). Callers have looked; this is the last door.
    if (dn === '' || password.reveal() === '') throw new UnavailableError('ERR_LDAP_PROTOCOL', 'A bind needs a name and a password.')
    const code = await exchange(this.#socket, bindQuestion(dn, password), this.#readTimeoutMs)
    if (code === success) return undefined
    if (refusals.has(code)) return code
    throw resultFailure('bind', code)
  }

  /** Searches a whole subtree, aliases and referrals not followed. Finds at most one entry more than `maxEntries`, to tell that there are more. */
  async search({ base, filter, attribute, maxEntries }: Search): Promise<Found[]> {
    this.#budget = maxBytesPerSearch
    try {
      const { searchEntries } = await this.#client.search(base, {
        scope: 'sub',
        filter,
        attributes: [attribute],
        sizeLimit: maxEntries + 1,
        timeLimit: Math.ceil(this.#readTimeoutMs / 1000),
      })
      return searchEntries.map((entry) => ({ dn: entry.dn, values: valuesOf(entry, attribute) }))
    } catch (error) {
      throw this.#failure('search', error)
    }
  }

  /** Whether an entry is there and may be seen. */
  async exists(dn: string): Promise<boolean> {
    this.#budget = maxBytesPerSearch
    try {
      const { searchEntries } = await this.#client.search(dn, { scope: 'base', attributes: ['1.1'] })
      return searchEntries.length === 1
    } catch (error) {
      if (error instanceof ResultCodeError && error.code === noSuchObject) return false
      throw this.#failure('search', error)
    }
  }

  /** Ends it. Calling twice, or after it ended, does nothing. */
  close(): void {
    // The notice is a courtesy (RFC 4511 section 4.3); the end of the connection says the same.
    this.#client.unbind().catch(ignore)
    this.#socket.destroySoon()
  }

  #count(bytes: number): void {
    this.#budget -= bytes
    if (this.#budget < 0) this.#socket.destroy()
  }

  #failure(what: string, error: unknown): UnavailableError {
    if (this.#budget < 0)
      return new UnavailableError('ERR_LDAP_ANSWER_TOO_LARGE', `The directory answered a ${what} with more than is read.`)
    if (error instanceof UnavailableError) return error
    if (error instanceof ResultCodeError) return resultFailure(what, error.code)
    const timedOut = error instanceof Error && error.message.includes('timed out')
    this.#socket.destroy()
    return timedOut
      ? new UnavailableError('ERR_LDAP_TIMEOUT', `The directory did not answer a ${what} in time.`)
      : new UnavailableError('ERR_LDAP_UNREACHABLE', { message: `The connection broke during a ${what}.`, cause: error })
  }
}

// Result codes of RFC 4511 appendix A.
const success = 0
const referral = 10
const noSuchObject = 32

function resultFailure(what: string, code: number): UnavailableError {
  if (code === referral)
    return new UnavailableError('ERR_LDAP_REFERRAL', `The directory answered a ${what} with a referral, and referrals are not followed.`)
  return new UnavailableError('ERR_LDAP_PROTOCOL', `The directory answered a ${what} with result code ${code}.`)
}

// The answers to a bind that are about this name and password, not about the directory's state.
const refusals: ReadonlySet<number> = new Set([
  19, // constraintViolation: the password policy
  32, // noSuchObject: the entry has gone since it was found
  34, // invalidDNSyntax
  48, // inappropriateAuthentication: the entry has no password
  49, // invalidCredentials
  50, // insufficientAccessRights
  53, // unwillingToPerform: the account is locked
])

// Attribute names are compared without case (RFC 4512 section 2.5), and a server may write them its own way.
function valuesOf(entry: Entry, attribute: string): string[] {
  const wanted = attribute.toLowerCase()
  for (const [name, value] of Object.entries(entry)) {
    if (name === 'dn' || name.toLowerCase() !== wanted) continue
    return [value].flat().filter((one) => typeof one === 'string' && one !== '') as string[]
  }
  return []
}

function ignore(): void {}
