import { systemClock, type Timer } from '@portcullis/core'
import { keySet, type LocalKeySet } from '@portcullis/jwt'
import type { Audience } from './audiences.ts'
import type { Engine } from './engine.ts'
import type { StsReport } from './events.ts'
import { generateKeys, publicSet, ringOf, rotated, signingKey, writeRing, type KeyRing, type RingKey, type StsKey } from './keys.ts'
import type { StsState } from './state/state.ts'

/** What a rotation needs to know. */
export interface RotationInit {
  readonly ring: KeyRing
  readonly audiences: ReadonlyMap<string, Audience>
  readonly state: StsState
  readonly report: StsReport
  /** Makes what answers with these keys; requests that run stay with the one that they began with. */
  readonly engineFor: (ring: KeyRing) => Engine
}

// A verifier's clock may be late.
const toleranceSeconds = 60

/** Holds the keys of a token service, and what answers with them. */
export class Rotation {
  /** What verifies the service's own tokens. */
  readonly published: LocalKeySet
  readonly #init: RotationInit
  /** How long the last token lives that a key has signed which retires now. */
  readonly #retirementMs: number
  #ring: KeyRing
  #engine: Engine
  #timer: Timer | undefined
  #queue: Promise<void> = Promise.resolve()

  constructor(init: RotationInit) {
    this.#init = init
    this.#ring = init.ring
    checkAlgorithms(init.audiences, init.ring.signing)
    const lifetimes = [...init.audiences.values()].map(({ lifetimeSeconds }) => lifetimeSeconds)
    this.#retirementMs = (Math.max(...lifetimes) + toleranceSeconds) * 1000
    this.published = keySet({ jwks: publicSet(init.ring) })
    this.#engine = init.engineFor(init.ring)
    this.#schedule()
  }

  get engine(): Engine {
    return this.#engine
  }

  /** Signs with these keys, or generated ones, from now on; nothing has changed where it throws. */
  async rotate(keys: readonly StsKey[] | undefined): Promise<void> {
    const next = keys === undefined ? await generateKeys() : ringOf(keys)
    checkAlgorithms(this.#init.audiences, next)
    await this.#use((ring) => rotated(ring, next, Date.now() + this.#retirementMs))
    this.#init.report({ type: 'keysRotated', keyIds: next.map(({ keyId }) => keyId), time: new Date(), remoteAddress: undefined })
  }

  stop(): void {
    this.#timer?.cancel()
  }

  /** One after another: a ring that is made of one which has gone would forget keys that have signed. */
  #use(next: (ring: KeyRing) => KeyRing): Promise<void> {
    const run = this.#queue.then(() => this.#exchange(next(this.#ring)))
    this.#queue = run.catch(() => undefined)
    return run
  }

  async #exchange(ring: KeyRing): Promise<void> {
    const engine = this.#init.engineFor(ring)
    await this.#init.state.signingKeys?.write(writeRing(ring))
    this.#ring = ring
    this.#engine = engine
    this.published.replace({ jwks: publicSet(ring) })
    this.#schedule()
  }

  /** Retired keys leave in their time, without anybody asking. */
  #schedule(): void {
    this.#timer?.cancel()
    if (this.#ring.retired.length === 0) return
    const dueMs = Math.min(...this.#ring.retired.map(({ untilMs }) => untilMs)) - Date.now()
    this.#timer = systemClock.schedule(dueMs + 1_000, () => {
      this.#use((ring) => rotated(ring, ring.signing, 0)).catch((cause: unknown) => {
        this.#init.report({ type: 'failed', endpoint: 'keys', cause, time: new Date(), remoteAddress: undefined })
      })
    })
  }
}

function checkAlgorithms(audiences: ReadonlyMap<string, Audience>, signing: readonly RingKey[]): void {
  for (const { algorithm } of audiences.values()) signingKey(signing, algorithm)
}
