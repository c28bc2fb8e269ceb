import { credentialOf, type Credential, type CredentialKind } from './credential.ts'
import type { AccessRequest } from './access-request.ts'
import type { Authenticator } from './authenticator.ts'
import type { Anonymous, Principal } from './principal.ts'

interface Registry {
  holders: number
  credentials: WeakMap<Principal, Credential>
}

// Under Symbol.for, so that the guard of one copy of this package keeps what a source of another asks for.
const key = Symbol.for('portcullis.inbound')
const registry: Registry = ((globalThis as unknown as Record<symbol, Registry | undefined>)[key] ??= {
  holders: 0,
  credentials: new WeakMap(),
})

/** The credentials that callers came with. Made by {@link inboundCredentials}. */
export interface InboundCredentials extends Disposable {
  /** The credential that proved this very principal; absent if it had none, or was proven before anybody asked. */
  of(principal: Principal): Credential | undefined
  /** Ends the keeping; with the last one, everything that was kept is forgotten. */
  close(): void
}

/**
 * Makes guards keep the credential that proved each principal, for sources that pass it on or exchange it. Nothing is
 * kept while nobody holds one of these. What is kept goes with its principal, and its secrets stay `Secret`s.
 *
 * Kept is what a mechanism judges by the scheme that it offers: Basic, Bearer or DPoP. Other mechanisms' is not.
 */
export function inboundCredentials(): InboundCredentials {
  registry.holders++
  let isOpen = true
  const close = (): void => {
    if (!isOpen) return
    isOpen = false
    if (--registry.holders === 0) registry.credentials = new WeakMap()
  }
  return Object.freeze({
    of: (principal: Principal) => (isOpen ? registry.credentials.get(principal) : undefined),
    close,
    [Symbol.dispose]: close,
  })
}

const kinds: ReadonlyMap<string, CredentialKind> = new Map([
  ['basic', 'basic'],
  ['bearer', 'bearer'],
  ['dpop', 'dpop'],
])

/** Keeps the credential by which a mechanism has proven a principal, if anybody asks for it. */
export function keepInbound(mechanism: Authenticator<Principal | Anonymous>, principal: Principal, request: AccessRequest): void {
  if (registry.holders === 0) return
  // One of a kind at most is in a request that is judged at all, so the kind says which one it was.
  const [offer, ...others] = mechanism.offers
  const kind = offer === undefined || others.length > 0 ? undefined : kinds.get(offer.scheme.toLowerCase())
  const credential = kind === undefined ? undefined : credentialOf(request.credentials, kind)
  if (credential !== undefined) registry.credentials.set(principal, credential)
}

/** Keeps for a principal that was made of another one what was kept for that. */
export function inheritInbound(principal: Principal, from: Principal): void {
  if (registry.holders === 0) return
  const credential = registry.credentials.get(from)
  if (credential !== undefined) registry.credentials.set(principal, credential)
}
