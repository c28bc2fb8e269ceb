import { randomBytes, randomId } from '@portcullis/crypto'
import { ConfigurationError, type Timer } from '@portcullis/core'
import { constants } from 'node:crypto'
import { createSecureContext, type SecureContext, type SecureContextOptions } from 'node:tls'

import { tlsErrorCodes, TlsMaterialError, type TlsErrorCode } from './errors.ts'
import { filesOf, MaterialProblem, readMaterial, signatureOf, type LoadedIdentity, type Material } from './material.ts'
import { settingsOf, type ClientTlsOptions, type ServerTlsOptions, type Settings, type TlsOptions } from './options.ts'
import { trustOf, type Trust } from './trust.ts'

/** What a bundle tells its subscribers. */
export type TlsEvent =
  /** New key pairs or trust anchors are in use; `trustChanged` if sessions may have ended with it. */
  | { readonly type: 'reloaded'; readonly trustChanged: boolean; readonly expiresAt: Date | undefined }
  /** The last good ones stay in use. Told once for each failure, and again when its cause changes. */
  | { readonly type: 'reloadFailed'; readonly error: TlsMaterialError }
  /** A server refused a handshake, or the certificate that came with it; for the guard's `report`. */
  | {
      readonly type: 'handshakeRefused'
      /** Which server refused it: one bundle may serve several. */
      readonly server: object
      readonly code: TlsErrorCode
      readonly error: Error
      readonly remoteAddress: string | undefined
      readonly serverName: string | undefined
    }

/** A subscriber of a bundle. What it throws is dropped, so that a faulty one cannot stop a reload. */
export type TlsListener = (event: TlsEvent) => void

/** What is in use between two reloads. Replaced as a whole. */
export interface Generation {
  readonly serverNames: ReadonlyMap<string, SecureContext>
  readonly trust: Trust
  /** For `node:tls`, without what belongs to one side. */
  readonly contextOptions: SecureContextOptions
  /** The session context (RFC 5077 and the runtime's `sessionIdContext`): changes with trust, so that no older session is resumed. */
  readonly sessionContext: string
  /** Encrypts session tickets: fresh in every generation. */
  readonly ticketKeys: Buffer
  readonly expiresAt: Date | undefined
}

/** What the files of this package know of a bundle. */
export interface BundleState {
  readonly settings: Settings
  generation: Generation
  /** Called after each exchange of the generation, in the same tick. */
  readonly swapped: Set<() => void>
  readonly tell: TlsListener
}

const stateKey = Symbol.for('portcullis.tls.state')

// Whoever gets hold of a ticket key can take up the sessions under it; half a day bounds how many those are (RFC 5077 section 5.5).
const ticketKeyLifetimeMs = 12 * 3_600_000

/**
 * The key pairs and trust anchors in use, shared by every listener or client that was made with it. Made by
 * {@link tlsBundle}.
 */
export class TlsBundle<Side extends 'server' | 'client' = 'server' | 'client'> {
  readonly side: Side
  readonly #state: BundleState
  readonly #files: readonly string[]
  readonly #listeners = new Set<TlsListener>()
  readonly #timers = new Map<'files' | 'tickets', Timer>()
  #signature: string
  #lastFailure: string | undefined
  #queue: Promise<void> = Promise.resolve()
  #closed = false

  /** @internal Use {@link tlsBundle}. */
  constructor(side: Side, settings: Settings, files: readonly string[], signature: string, material: Material) {
    this.side = side
    this.#files = files
    this.#signature = signature
    this.#state = {
      settings,
      generation: generationOf(settings, material, undefined),
      swapped: new Set(),
      tell: (event) => this.#tell(event),
    }
    if (settings.checkFilesEveryMs !== undefined && files.length > 0)
      this.#every('files', settings.checkFilesEveryMs, () => this.#checkFiles())
    if (settings.side === 'server' && settings.resumption) this.#every('tickets', ticketKeyLifetimeMs, () => this.#rotateTickets())
  }

  /** @internal */
  get [stateKey](): BundleState {
    return this.#state
  }

  /** When the first of the bundle's own certificates ceases to hold; `undefined` for a client without one. Watch it: this is the metric to alarm on. */
  get expiresAt(): Date | undefined {
    const { expiresAt } = this.#state.generation
    return expiresAt === undefined ? undefined : new Date(expiresAt)
  }

  /** Calls `listener` for every event; returns how to stop. */
  subscribe(listener: TlsListener): () => void {
    this.#listeners.add(listener)
    return () => void this.#listeners.delete(listener)
  }

  /**
   * Reads every source again and puts it into use, all or nothing: every key is matched with its certificate and every
   * date with the clock before anything changes. Handshakes that begin after the promise resolves see the new ones.
   * Open connections go on, unless their certificate ended in a trust anchor that is gone: those end.
   *
   * Otherwise it rejects with `ERR_TLS_RELOAD`, whose `reason` says why, and the last good ones stay in use.
   * Overlapping calls run one after another. A closed bundle rejects with `ERR_TLS_BUNDLE_CLOSED`.
   */
  reload(): Promise<void> {
    const run = this.#queue.then(() => this.#reload())
    this.#queue = run.catch(() => undefined)
    return run
  }

  /** Stops looking at files and changing keys. Listeners and clients go on with what is in use. */
  close(): void {
    this.#closed = true
    for (const timer of this.#timers.values()) timer.cancel()
    this.#timers.clear()
  }

  [Symbol.dispose](): void {
    this.close()
  }

  async #reload(): Promise<void> {
    if (this.#closed) throw new ConfigurationError<TlsErrorCode>('ERR_TLS_BUNDLE_CLOSED', tlsErrorCodes.ERR_TLS_BUNDLE_CLOSED)
    const { settings } = this.#state
    // Taken before reading: a file that changes meanwhile differs at the next look and is read again.
    const signature = await signatureOf(this.#files)
    let next: Generation
    try {
      next = generationOf(settings, await readMaterial(settings), this.#state.generation)
    } catch (error) {
      throw this.#failed(error, signature)
    }
    this.#signature = signature
    this.#lastFailure = undefined
    this.#swap(next)
  }

  #swap(next: Generation): void {
    const before = this.#state.generation
    this.#state.generation = next
    for (const swapped of this.#state.swapped) swapped()
    const trustChanged = before.trust.fingerprint !== next.trust.fingerprint
    for (const [thumbprint, anchor] of before.trust.anchors) {
      if (next.trust.anchors.get(thumbprint) === anchor) continue
      try {
        anchor.revocation.revoke('The trust anchor left the bundle.')
      } catch {
        // A session that fails to end itself must not keep the others open; it is closed below it by `attach`.
      }
    }
    this.#tell({ type: 'reloaded', trustChanged, expiresAt: this.expiresAt })
  }

  #failed(cause: unknown, signature: string): TlsMaterialError {
    const error = materialError('ERR_TLS_RELOAD', cause)
    const failure = `${error.reason} ${error.message} ${signature}`
    if (failure !== this.#lastFailure) this.#tell({ type: 'reloadFailed', error })
    this.#lastFailure = failure
    return error
  }

  async #checkFiles(): Promise<void> {
    if (this.#lastFailure === undefined && (await signatureOf(this.#files)) === this.#signature) return
    // The failure was told to the subscribers.
    await this.reload().catch(() => undefined)
  }

  #rotateTickets(): void {
    this.#state.generation = { ...this.#state.generation, ticketKeys: randomBytes(48) }
    for (const swapped of this.#state.swapped) swapped()
  }

  #every(name: 'files' | 'tickets', intervalMs: number, task: () => void | Promise<void>): void {
    const next = (): void => {
      if (!this.#closed)
        this.#timers.set(
          name,
          this.#state.settings.clock.schedule(intervalMs, () => void Promise.resolve(task()).then(next, next)),
        )
    }
    next()
  }

  #tell(event: TlsEvent): void {
    for (const listener of this.#listeners) {
      try {
        listener(event)
      } catch {
        // See TlsListener.
      }
    }
  }
}

/** What a server listens with. */
export type ServerTlsBundle = TlsBundle<'server'>
/** What a client connects with. */
export type ClientTlsBundle = TlsBundle<'client'>

/**
 * Reads and checks every source and makes a bundle of them; a bundle passes as it is.
 *
 * Whoever makes a bundle closes it. Throws core's `ERR_OPTION_*`, and `ERR_TLS_MATERIAL` for a key pair or trust store
 * that cannot be used, whose `reason` says why.
 */
export function tlsBundle(options: ServerTlsOptions | ServerTlsBundle): Promise<ServerTlsBundle>
export function tlsBundle(options: ClientTlsOptions | ClientTlsBundle): Promise<ClientTlsBundle>
export function tlsBundle(options: TlsOptions | TlsBundle): Promise<TlsBundle>
export async function tlsBundle(options: TlsOptions | TlsBundle): Promise<TlsBundle> {
  if (isTlsBundle(options)) return options
  const settings = settingsOf(options)
  const files = filesOf(settings)
  const signature = await signatureOf(files)
  try {
    return new TlsBundle(settings.side, settings, files, signature, await readMaterial(settings))
  } catch (cause) {
    throw materialError('ERR_TLS_MATERIAL', cause)
  }
}

/** Tells a bundle, of any copy of this package in the process. */
export function isTlsBundle(value: unknown): value is TlsBundle {
  return typeof value === 'object' && value !== null && stateKey in value
}

/** What the files of this package know of a bundle; throws `ERR_OPTION_INVALID` for anything else, or for a bundle of the other side. */
export function stateOf(where: string, bundle: TlsBundle, side: 'server' | 'client'): BundleState {
  if (!isTlsBundle(bundle) || bundle.side !== side)
    throw new ConfigurationError('ERR_OPTION_INVALID', `${where} needs a TLS bundle of a ${side}.`)
  return bundle[stateKey]
}

function generationOf(settings: Settings, material: Material, before: Generation | undefined): Generation {
  const trust = trustOf(material.trust, before?.trust)
  if (trust === undefined)
    throw new MaterialProblem('ambiguous', 'One trust anchor stands under two names, so its principals would have two issuers.')
  const sessionContext = before !== undefined && before.trust.fingerprint === trust.fingerprint ? before.sessionContext : randomId(192)
  const authorities = [...Array.from(trust.anchors.values(), ({ certificate }) => certificate), ...trust.intermediates]
  const shared: SecureContextOptions = {
    minVersion: settings.minVersion,
    maxVersion: settings.maxVersion,
    ciphers: settings.ciphers,
    ecdhCurve: settings.ecdhCurve,
    honorCipherOrder: true,
    // A second handshake on an open connection could bring another certificate than the one that was judged.
    secureOptions: constants.SSL_OP_NO_RENEGOTIATION | (settings.resumption ? 0 : constants.SSL_OP_NO_TICKET),
    sessionTimeout: settings.sessionTimeoutSeconds,
    sessionIdContext: sessionContext,
    ...(settings.trust.size > 0 && { ca: authorities.map((certificate) => certificate.toString()) }),
  }
  const contextOf = (identities: readonly LoadedIdentity[]): SecureContextOptions => ({
    ...shared,
    ...(identities.length > 0 && { key: identities.map(({ key }) => key), cert: identities.map(({ cert }) => cert) }),
  })
  const all = [...material.identities, ...[...material.serverNames.values()].flat()]
  try {
    createSecureContext(contextOf(material.identities))
    return {
      serverNames: new Map(Array.from(material.serverNames, ([name, identities]) => [name, createSecureContext(contextOf(identities))])),
      trust,
      contextOptions: contextOf(material.identities),
      sessionContext,
      ticketKeys: randomBytes(48),
      expiresAt: all.length === 0 ? undefined : new Date(Math.min(...all.map((identity) => identity.expiresAt.getTime()))),
    }
  } catch (cause) {
    throw new MaterialProblem('malformed', 'The runtime does not take these key pairs and trust anchors together.', cause)
  }
}

function materialError(code: 'ERR_TLS_MATERIAL' | 'ERR_TLS_RELOAD', cause: unknown): TlsMaterialError {
  // Anything but a problem with the material is a fault of ours, and stays visible as the cause.
  const reason = cause instanceof MaterialProblem ? cause.reason : 'malformed'
  return new TlsMaterialError(
    code,
    reason,
    cause instanceof Error ? cause.message : tlsErrorCodes[code],
    cause instanceof MaterialProblem ? cause.cause : cause,
  )
}
