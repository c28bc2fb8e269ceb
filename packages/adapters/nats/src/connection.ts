import {
  isExhausted,
  retryDelayMs,
  sameCredential,
  type Clock,
  type CredentialSource,
  type SecurityError,
  type Supplied,
  type Target,
  type Timer,
} from '@portcullis/core'
import type { ClientTlsBundle } from '@portcullis/tls'
import { connect, type ConnectionOptions, type NatsConnection } from '@nats-io/transport-node'
import { codedAs, diagnose } from './diagnose.ts'
import type { NatsOptions } from './options.ts'
import { present } from './present.ts'
import { probe } from './probe.ts'
import type { ServerAt } from './servers.ts'

/** What a connection is opened with. */
export interface Opening {
  readonly pieces: NatsOptions
  readonly servers: readonly [ServerAt, ...ServerAt[]]
  readonly bundle: ClientTlsBundle
  readonly source: CredentialSource | undefined
  readonly target: Target
  readonly timeoutMs: number
  readonly pingIntervalMs: number
  readonly name: string | undefined
  readonly inboxPrefix: string | undefined
  readonly clock: Clock
  readonly onWarning: ((error: Error) => void) | undefined
}

// Between 70 and 90 per cent of its life, so that many connections do not come at once, and there is time to try again.
const earliestShare = 0.7
const spreadShare = 0.2
const retryMs = 1_000
// A source whose clock is another's may yield what is nearly over, again and again; no life is shorter in earnest.
const soonestRenewalMs = 250
// After a refusal the source has this long to yield another credential before the next connection is tried.
const afterRefusalMs = 1_000
// New certificates are used within this time, and not by all connections at once.
const reloadSpreadMs = 1_000
// A single failure may be a restart; after this many in a row somebody is asked why.
const failuresBeforeProbe = 3

/** Opens a connection that renews its credential and its certificates by reconnecting, ahead of expiry and on the server's word. */
export async function openConnection(opening: Opening): Promise<NatsConnection> {
  const { source, target } = opening
  const live = new Live(opening)
  if (source === undefined) return await live.connect()
  live.replace(await source({ target }))
  try {
    return await live.connect()
  } catch (error) {
    if (diagnose(error).code !== 'ERR_NATS_CREDENTIAL_REFUSED') throw error
    // Refused once, the source may have a better one; the same is never sent twice.
    await live.another(error)
    return await live.connect()
  }
}

/** The credential of one connection, and what keeps it good. */
class Live {
  readonly #opening: Opening
  #supplied: Supplied | undefined
  #refused: Supplied | undefined
  /** Why there is no other than the refused one. */
  #why: SecurityError | undefined
  #connection: NatsConnection | undefined
  #fetching = false
  #timers: { readonly renewal?: Timer; readonly reconnection?: Timer } = {}
  #attempt = 0

  constructor(opening: Opening) {
    this.#opening = opening
  }

  async connect(): Promise<NatsConnection> {
    const { pieces, timeoutMs, pingIntervalMs, name, inboxPrefix, source, servers } = this.#opening
    const options: ConnectionOptions = {
      servers: pieces.servers,
      tls: pieces.tls,
      timeout: timeoutMs,
      pingInterval: pingIntervalMs,
      maxPingOut: 2,
      // Outages may last; what is refused ends below.
      maxReconnectAttempts: -1,
      ignoreAuthErrorAbort: source !== undefined,
      reconnectDelayHandler: () => (this.#refused === undefined ? retryDelayMs(this.#attempt) : afterRefusalMs),
      noAsyncTraces: true,
      ...(source !== undefined && { authenticator: (nonce?: string) => this.#authenticate(nonce) }),
      ...(name !== undefined && { name }),
      ...(inboxPrefix !== undefined && { inboxPrefix }),
    }
    let connection: NatsConnection
    try {
      connection = await connect(options)
    } catch (error) {
      const meant = diagnose(error)
      // The library sees a refused client certificate as a server that does not answer.
      if (meant.code !== 'ERR_NATS_UNAVAILABLE') throw meant
      for (const server of servers) {
        const found = await probe(server, pieces.tls, timeoutMs)
        if (found !== undefined && diagnose(found).family !== 'unavailable') throw diagnose(found)
      }
      throw meant
    }
    this.#connection = connection
    this.#attempt = 0
    this.#plan(soonestRenewalMs)
    void this.#watch(connection)
    return connection
  }

  replace(supplied: Supplied): void {
    const same = this.#holds(supplied)
    this.#supplied = supplied
    this.#refused = undefined
    this.#why = undefined
    // A source that has nothing newer is asked again, and not without a pause.
    this.#plan(same ? retryMs : soonestRenewalMs)
  }

  #holds({ credential }: Supplied): boolean {
    return this.#supplied !== undefined && sameCredential(credential, this.#supplied.credential)
  }

  /** After a refusal: another credential, or the refusal. */
  async another(refusal: unknown): Promise<void> {
    const { source, target } = this.#opening
    const refused = this.#supplied
    if (source === undefined || refused === undefined) throw refusal
    let next: Supplied
    try {
      next = await source({ target, refused: refused.credential })
    } catch (error) {
      throw isExhausted(error) ? refusal : error
    }
    if (sameCredential(next.credential, refused.credential)) throw refusal
    this.replace(next)
  }

  #authenticate(nonce: string | undefined): ReturnType<typeof present> {
    if (this.#supplied === undefined) throw codedAs('ERR_NATS_CREDENTIAL', undefined)
    // What this throws ends the connection; it is opened anew by whoever uses it, if that is worth while. That a source is
    // slow is no refusal.
    if (this.#refused === this.#supplied)
      throw this.#why ?? codedAs(this.#fetching ? 'ERR_NATS_RENEWAL' : 'ERR_NATS_CREDENTIAL_REFUSED', undefined)
    return present(this.#supplied.credential, nonce)
  }

  #plan(soonestMs: number): void {
    const { clock } = this.#opening
    const expiresAt = this.#supplied?.expiresAt
    this.#timers.renewal?.cancel()
    // Before there is a connection there is nothing to renew.
    if (expiresAt === undefined || this.#connection === undefined || this.#connection.isClosed()) return
    const inMs = (expiresAt.getTime() - clock.now()) * (earliestShare + Math.random() * spreadShare)
    this.#timers = { ...this.#timers, renewal: clock.schedule(Math.max(soonestMs, inMs), () => void this.#renew()) }
  }

  async #renew(): Promise<void> {
    const { source, target, clock, onWarning } = this.#opening
    const connection = this.#connection
    // After a refusal another credential is on its way already, and this one must not come back.
    if (source === undefined || connection === undefined || connection.isClosed() || this.#refused !== undefined) return
    try {
      const next = await source({ target })
      if (connection.isClosed() || this.#refused !== undefined) return
      const changed = !this.#holds(next)
      this.replace(next)
      if (changed) await this.#reconnect()
    } catch (error) {
      if (connection.isClosed()) return
      onWarning?.(codedAs('ERR_NATS_RENEWAL', error))
      this.#timers = { ...this.#timers, renewal: clock.schedule(retryMs, () => void this.#renew()) }
    }
  }

  /** NATS has no renewal in place: what was sent is flushed, and the connection made anew. */
  async #reconnect(): Promise<void> {
    const connection = this.#connection
    if (connection === undefined || connection.isClosed()) return
    await connection.flush().catch(() => undefined)
    await connection.reconnect().catch(() => undefined)
  }

  /** A refusal on a connection that was let in before: the source is asked for another. */
  #refuse(error: Error): void {
    const refused = this.#supplied
    if (this.#opening.source === undefined || refused === undefined || this.#refused === refused) return
    this.#refused = refused
    if (!this.#fetching) void this.#fetchAnother(error)
  }

  async #fetchAnother(refusal: Error): Promise<void> {
    this.#fetching = true
    try {
      await this.another(codedAs('ERR_NATS_CREDENTIAL_REFUSED', refusal))
    } catch (error) {
      this.#why = diagnose(error)
      this.#opening.onWarning?.(codedAs('ERR_NATS_RENEWAL', error))
    } finally {
      this.#fetching = false
    }
  }

  async #watch(connection: NatsConnection): Promise<void> {
    const { bundle, clock } = this.#opening
    const unsubscribe = bundle.subscribe((event) => {
      if (event.type !== 'reloaded') return
      this.#timers.reconnection?.cancel()
      this.#timers = { ...this.#timers, reconnection: clock.schedule(Math.random() * reloadSpreadMs, () => void this.#reconnect()) }
    })
    for await (const status of connection.status()) {
      if (status.type === 'error' && isAuthentication(status.error)) this.#refuse(status.error)
      if (status.type === 'reconnect') this.#attempt = 0
      if (status.type === 'reconnecting' && ++this.#attempt % failuresBeforeProbe === 0) void this.#ask(connection)
    }
    unsubscribe()
    this.#timers.renewal?.cancel()
    this.#timers.reconnection?.cancel()
  }

  /** Why it does not come back. */
  async #ask(connection: NatsConnection): Promise<void> {
    const { pieces, servers, timeoutMs, onWarning } = this.#opening
    const found = await probe(servers[0], pieces.tls, timeoutMs)
    if (found === undefined || connection.isClosed() || this.#attempt === 0) return
    const meant = diagnose(found)
    onWarning?.(meant)
    // A server that is not the one meant, or a certificate that it refuses: no outage, and no reason to go on.
    if (meant.family === 'authentication') await endWith(connection, meant)
  }
}

const endings = new WeakMap<NatsConnection, SecurityError>()

async function endWith(connection: NatsConnection, error: SecurityError): Promise<void> {
  endings.set(connection, error)
  await connection.close().catch(() => undefined)
}

/** Resolves when a connection is over, with the reason, if it is not that somebody closed it. */
export async function endOf(connection: NatsConnection): Promise<SecurityError | undefined> {
  const error = await connection.closed()
  const known = endings.get(connection)
  if (known !== undefined) return known
  return error instanceof Error ? diagnose(error) : undefined
}

function isAuthentication(error: Error): boolean {
  return diagnose(error).code === 'ERR_NATS_CREDENTIAL_REFUSED'
}
