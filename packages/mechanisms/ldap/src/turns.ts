/** A number of places, taken in the order of asking. Who asks bounds how many wait. */
export class Turns {
  readonly #places: number
  readonly #waiting = new Set<() => void>()
  #taken = 0

  constructor(places: number) {
    this.#places = places
  }

  /** How many wait. */
  get waiting(): number {
    return this.#waiting.size
  }

  /** Whether who asks now has to wait. */
  get full(): boolean {
    return this.#taken >= this.#places
  }

  /** Takes a place, or waits for one. Rejects with the reason of the signal, holding none. */
  async take(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted()
    if (!this.full) {
      this.#taken++
      return
    }
    await new Promise<void>((resolve, reject) => {
      const enter = (): void => {
        signal.removeEventListener('abort', leave)
        resolve()
      }
      const leave = (): void => {
        this.#waiting.delete(enter)
        reject(signal.reason)
      }
      signal.addEventListener('abort', leave, { once: true })
      this.#waiting.add(enter)
    })
  }

  /** Hands the place over to who waits longest, so that nobody who comes now gets in between. */
  leave(): void {
    const [enter] = this.#waiting
    if (enter === undefined) {
      this.#taken--
      return
    }
    this.#waiting.delete(enter)
    enter()
  }
}
