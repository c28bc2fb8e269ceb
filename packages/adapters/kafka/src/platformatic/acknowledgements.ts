import type { CommitOptionsPartition, Message } from '@platformatic/kafka'

/** After so many messages, or so much time, the position is stored: what lies between comes again after a crash. */
export const acknowledgeEvery = 500
/** See {@link acknowledgeEvery}; in milliseconds. */
export const acknowledgeAfterMs = 500

/** Stores how far the messages of each partition were taken, some at a time and one request at a time. */
export class Acknowledgements {
  readonly #commit: (offsets: CommitOptionsPartition[]) => Promise<void>
  readonly #failed: (error: unknown) => void
  #pending = new Map<string, CommitOptionsPartition>()
  #count = 0
  #timer: NodeJS.Timeout | undefined
  #flushing: Promise<void> | undefined

  /** `failed` hears of each failure; what could not be stored is tried again with what follows. */
  constructor(commit: (offsets: CommitOptionsPartition[]) => Promise<void>, failed: (error: unknown) => void) {
    this.#commit = commit
    this.#failed = failed
  }

  note({ topic, partition, offset, leaderEpoch }: Pick<Message, 'topic' | 'partition' | 'offset' | 'leaderEpoch'>): void {
    this.#pending.set(`${topic}/${partition}`, { topic, partition, offset: offset + 1n, leaderEpoch })
    if (++this.#count >= acknowledgeEvery) void this.flush()
    else this.#timer ??= setTimeout(() => void this.flush(), acknowledgeAfterMs)
  }

  /** Partitions were shared out anew: how far the others are is for those to tell who have them now. */
  keep(assignments: readonly { readonly topic: string; readonly partitions: readonly number[] }[]): void {
    const ours = new Set(assignments.flatMap(({ topic, partitions }) => partitions.map((partition) => `${topic}/${partition}`)))
    for (const key of this.#pending.keys()) if (!ours.has(key)) this.#pending.delete(key)
  }

  /** Stores what was noted until now; resolves when it is tried. */
  async flush(): Promise<void> {
    clearTimeout(this.#timer)
    this.#timer = undefined
    this.#count = 0
    await this.#flushing
    if (this.#pending.size === 0) return
    const offsets = this.#pending
    this.#pending = new Map()
    this.#flushing = this.#commit([...offsets.values()])
      .catch((error: unknown) => {
        // What was noted meanwhile is further on.
        for (const [key, offset] of offsets) if (!this.#pending.has(key)) this.#pending.set(key, offset)
        this.#failed(error)
      })
      .finally(() => (this.#flushing = undefined))
    await this.#flushing
  }
}
