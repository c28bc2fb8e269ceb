/** What is kept of a token, a grant or a proof that was seen. */
export interface StateEntry {
  /** JSON. Holds no token: those are known by the digest that is their key. */
  readonly value: string
  /** What it stands and falls with: the entries of one login share one. */
  readonly family?: string
  /** Since the epoch; from then on the entry counts as absent. */
  readonly expiresAtMs: number
}

/** An entry as it is read. */
export interface StoredEntry {
  readonly value: string
  /** When it was used up, since the epoch, by the clock of the instance that did. */
  readonly consumedAtMs?: number
}

/** How a state answers to {@link StsState.consume}: the first caller, a later one, or there is no such entry. */
export type Consumed = 'first' | 'again' | 'absent'

/**
 * Where a token service keeps what it must remember: opaque tokens, refresh tokens, logins, proofs that were used.
 *
 * Each method resolves when the change is as durable as the store makes it; what the service answers, it has stored
 * before. Every method is one atomic step, also among instances on other machines. An outage is thrown.
 */
export interface StsState {
  /** Appears in errors. */
  readonly name: string
  /** Whether several instances use it at once; they then need the same signing keys. */
  readonly isShared: boolean
  put(key: string, entry: StateEntry): Promise<void>
  /** False if there is an entry of this key in its time. */
  putIfAbsent(key: string, entry: StateEntry): Promise<boolean>
  get(key: string): Promise<StoredEntry | undefined>
  /** Uses an entry up and keeps it: among all callers ever, one is the first. */
  consume(key: string): Promise<Consumed>
  remove(key: string): Promise<void>
  /** Removes every entry of a family. */
  removeFamily(family: string): Promise<void>
  /** Where signing keys that were generated are kept, for a state that only one instance opens. Without it they end with the process. */
  readonly signingKeys?: { read(): Promise<string | undefined>; write(text: string): Promise<void> }
}
