import { sameCredential, UnavailableError, type Credential, type CredentialSource } from '@portcullis/core'

/** A source that counts how often it is told of a refusal that was news to it. */
export interface CountingSource {
  readonly source: CredentialSource
  /** Fails unless it was refreshed this often. */
  expectRefreshes(count: number): void
}

/** Makes a source that yields `first` until that very credential is refused, then `next`; without one it has nothing better. Only for `origin`. */
export function countingSource(origin: string, first: Credential, next: Credential | undefined): CountingSource {
  let current = first
  let refreshes = 0
  return {
    source({ target, refused }) {
      if (!target.secure || target.origin !== origin) {
        throw new UnavailableError(
          'ERR_SOURCE_TARGET',
          `The client asked for a credential for ${target.secure ? '' : 'the insecure '}${target.origin}; it connects to ${origin}.`,
        )
      }
      if (refused !== undefined && sameCredential(refused, current)) {
        if (next === undefined) throw new UnavailableError('ERR_SOURCE_EXHAUSTED', 'There is no other credential.')
        refreshes++
        current = next
      }
      return { credential: current }
    },
    expectRefreshes(count) {
      if (refreshes !== count) throw new Error(`The source was refreshed ${refreshes} times instead of ${count}.`)
    },
  }
}
