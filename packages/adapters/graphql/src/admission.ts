import type { AccessRequest, Anonymous, AuthSession, Guard, Principal, Refusal } from '@portcullis/core'
import type { Standing } from './standing.ts'

type Party = Principal | Anonymous

/** Who was let in, by which a request or a connection is executed. */
export interface Admission {
  readonly guard: Guard
  readonly standing: Standing
  /** Who is asking now: it changes when a connection is renewed. */
  principal(): Party
  /** What the guard has judged; absent in servers whose channel is not known. */
  readonly access?: AccessRequest
  /** The guard's refusal of a request that may still ask for what is open to everyone. */
  readonly refusal?: Refusal
  /** Set when an operation asked for nothing else; without it the request is answered with the refusal. */
  opened?: boolean
  /** The clock of a connection; a single stream gets one of its own. */
  readonly session?: AuthSession<Party>
}

/** Under which an admission stands in the context of an operation. A symbol: it cannot arrive from JSON. */
export const admission: unique symbol = Symbol('portcullis.graphql.admission')

/** A context that may have an admission. */
export interface AdmittedContext {
  readonly [admission]?: Admission
}
