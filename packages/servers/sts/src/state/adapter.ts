import { createHash } from 'node:crypto'
import { UnavailableError } from '@portcullis/core'
import { errors, type Adapter, type AdapterPayload } from 'oidc-provider'
import type { StsErrorCode } from '../errors.ts'
import { invalidGrant, TemporarilyUnavailable } from '../refusal.ts'
import type { StsState } from './state.ts'

// Each refresh leaves an entry, by which its reuse is noticed; this is one a minute for two weeks.
const maxRotations = 20_000
// Models that live for ever do not exist here; should one be asked for, it ends.
const longestMs = 366 * 86_400_000

// A client of the store that has lost its connection would queue for ever.
const timeoutMs = 5_000

/** Keeps what `oidc-provider` stores in a {@link StsState}: by digest, so that who reads the store holds no token. */
export class StateAdapter implements Adapter {
  readonly #model: string
  readonly #state: StsState

  constructor(model: string, state: StsState) {
    this.#model = model
    this.#state = state
  }

  async upsert(id: string, payload: AdapterPayload, expiresInSeconds?: number): Promise<void> {
    if ((payload.rotations ?? 0) > maxRotations) throw invalidGrant('the login was refreshed too often')
    // The identifier of a token is the token.
    const { jti: _token, ...rest } = payload
    const family = this.#model === 'Grant' ? id : payload.grantId
    const lifetimeMs = expiresInSeconds === undefined ? longestMs : Math.min(expiresInSeconds * 1000, longestMs)
    const entry = { value: JSON.stringify(rest), expiresAtMs: Date.now() + lifetimeMs, ...(family !== undefined && { family }) }
    // What must be new is judged by the store: two instances would both have found it absent.
    if (this.#model !== 'ReplayDetection') return this.#ask(() => this.#state.put(this.#key(id), entry))
    if (!(await this.#ask(() => this.#state.putIfAbsent(this.#key(id), entry)))) throw invalidGrant('a proof was used twice')
  }

  async find(id: string): Promise<AdapterPayload | undefined> {
    const stored = await this.#ask(() => this.#state.get(this.#key(id)))
    if (stored === undefined) return undefined
    const payload = JSON.parse(stored.value) as AdapterPayload
    return {
      ...payload,
      jti: id,
      ...(stored.consumedAtMs !== undefined && { consumed: Math.max(1, Math.floor(stored.consumedAtMs / 1000)) }),
    }
  }

  /** Of two that use one refresh token at the same moment the second ends the login of both (RFC 9700 section 4.14.2). */
  async consume(id: string): Promise<void> {
    const key = this.#key(id)
    if ((await this.#ask(() => this.#state.consume(key))) === 'first') return
    const stored = await this.#ask(() => this.#state.get(key))
    const grantId = stored && (JSON.parse(stored.value) as AdapterPayload).grantId
    if (grantId !== undefined) await this.revokeByGrantId(grantId)
    throw new errors.InvalidGrant('refresh token already used')
  }

  async destroy(id: string | undefined): Promise<void> {
    if (id !== undefined) await this.#ask(() => this.#state.remove(this.#key(id)))
  }

  /** Ends everything of a login, the login itself included. Tokens that are no part of one have no grant. */
  async revokeByGrantId(grantId: string | undefined): Promise<void> {
    if (grantId !== undefined) await this.#ask(() => this.#state.removeFamily(grantId))
  }

  findByUid(): Promise<undefined> {
    return Promise.resolve(undefined)
  }

  findByUserCode(): Promise<undefined> {
    return Promise.resolve(undefined)
  }

  #key(id: string): string {
    return createHash('sha256').update(`${this.#model}:${id}`).digest('base64url')
  }

  async #ask<T>(question: () => Promise<T>): Promise<T> {
    let timer: NodeJS.Timeout | undefined
    const late = new Promise<never>((_resolve, reject) => {
      timer = setTimeout(
        () => reject(new UnavailableError<StsErrorCode>('ERR_STS_STATE_FAILING', `The state "${this.#state.name}" does not answer.`)),
        timeoutMs,
      )
    })
    try {
      return await Promise.race([question(), late])
    } catch (cause) {
      throw new TemporarilyUnavailable(cause)
    } finally {
      clearTimeout(timer)
    }
  }
}
