import type { Reason } from '@portcullis/core'

import type { Outcome } from './harness.ts'
import type { TokenFacts } from './issuer.ts'
import type { CertificateName, ServerName } from './pki.ts'
import type { Stage } from './stage.ts'

/** What a listener demands. `bearer`: a sound token with the scope `orders:read`. */
export type PolicyName = 'bearer' | 'certificate' | 'bearerAndCertificate' | 'proof' | 'keyServerDown' | 'overloaded' | 'faulty'

/** Something that is presented, in facts. */
export type Presented = { readonly place?: 'first' | 'second' | 'same' } & (
  | {
      readonly token: TokenFacts
      /** Puts the thumbprint of this certificate into the token (RFC 8705 section 3.1). */ readonly boundTo?: CertificateName
    }
  | { readonly basic: { readonly username: string; readonly password: string } }
  | { readonly raw: string }
)

/** The situation; what is left out is as it should be. */
export interface Given {
  /** Default `bearer`. */
  readonly policy?: PolicyName
  /** Default: one sound token of alice with the scope `orders:read`. Ignored for the adapter's own client, which is fed by a source. */
  readonly presents?: readonly Presented[]
  /** The peer's certificate. Default: none. */
  readonly certificate?: CertificateName
  /** Default `accept`. */
  readonly clientCertificates?: 'accept' | 'require'
  /** The listener's certificate. Default `sound`. */
  readonly server?: ServerName
  /** Whom the peer trusts: the authority of the `sound` certificate (the default) or of the `renewed` one. */
  readonly trusts?: 'sound' | 'renewed'
  /** The peer leaves TLS out. */
  readonly plaintext?: boolean
  /**
   * `read` (the default), `write` (its own level, scope `orders:write`), `elevated` (demands a fresher authentication),
   * `public` (everyone), `broken` (its handler throws), or a name that nothing was registered for.
   */
  readonly operation?: string
  /** Whether a bare peer comes (the default) or the adapter's own client. */
  readonly by?: 'peer' | 'client'
}

/** What must be observed. */
export interface Expected {
  /** `refused`: any but `allowed`. */
  readonly outcome: Outcome | 'refused'
  /** What the guard must have decided, as its audit event tells. Absent: the guard is not asked, or the answer has none. */
  readonly reason?: Reason
  /** Whom the handler must have seen; default alice. Only for `allowed`. */
  readonly subject?: 'alice' | 'anonymous' | 'certificate'
  /** The scheme that the challenge must name. */
  readonly scheme?: string
}

interface ScenarioBase {
  readonly title: string
  /** Where the rule stands. */
  readonly rule: string
}

/** A scenario of one call: the situations, each tried on its own, and what must be observed in every one. */
export interface Trial extends ScenarioBase {
  readonly given: Given | readonly Given[]
  readonly observed: Expected
  /** The same without the fault; it must be allowed. For refusals that have no reason code: a listener that is merely broken must not pass. */
  readonly control?: Given
}

/** A scenario of several steps. It throws where something else is observed than must be. */
export interface Story extends ScenarioBase {
  steps(stage: Stage): Promise<void>
}

/** One thing that every adapter must do. */
export type Scenario = Trial | Story
