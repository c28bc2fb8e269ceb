import type { StsGrant } from './grants/grant.ts'

/** What a token says, for policies, claims and the audit trail. */
export interface StsTokenFacts {
  readonly subject: string
  readonly client: string
  readonly audiences: readonly string[]
  readonly scopes: readonly string[]
  readonly expiresAt: Date
  /** Who acts for the subject, with those who did before (RFC 8693 section 4.1). */
  readonly act?: Readonly<Record<string, unknown>>
}

interface EventBase {
  readonly time: Date
  readonly remoteAddress: string | undefined
}

/**
 * What happens in a token service. Every field may be logged: no token, secret, password or assertion is among them.
 *
 * `refused` has the registered code that the peer was told, and for the log why; `failed` is a fault or an outage;
 * `reused` is a refresh token that came a second time, which ended its login.
 */
export type StsEvent =
  | (EventBase & { readonly type: 'issued'; readonly grant: StsGrant; readonly token: StsTokenFacts })
  | (EventBase & {
      readonly type: 'refused' | 'reused'
      readonly endpoint: string
      readonly error: string
      readonly detail: string | undefined
      readonly client: string | undefined
    })
  | (EventBase & { readonly type: 'failed'; readonly endpoint: string; readonly cause: unknown })
  | (EventBase & { readonly type: 'keysRotated'; readonly keyIds: readonly string[] })

/** Gets every event, at once. What it throws is ignored. */
export type StsReport = (event: StsEvent) => void
