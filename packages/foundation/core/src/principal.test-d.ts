/** What must not compile. */
import {
  anyOf,
  cached,
  guard,
  scope,
  vouchForPrincipal,
  withScopes,
  everyone,
  allOf,
  type Anonymous,
  type Authenticator,
  type BoundSource,
  type DelegatedSource,
  type Guard,
  type Principal,
} from './index.ts'

declare const real: Principal
declare const leaf: Authenticator
declare const bound: BoundSource
declare const delegated: DelegatedSource

// @ts-expect-error a spread was vouched for by nobody
export const spread: Principal = { ...real }
// @ts-expect-error neither was a literal
export const literal: Principal = {
  kind: 'principal',
  issuer: 'i',
  subject: 's',
  scopes: new Set(),
  claims: {},
  factors: [],
  revocations: [],
  expiresAtMs: 1,
  revoked: false,
}
// @ts-expect-error an empty policy
anyOf()
// @ts-expect-error an empty policy
allOf()
// @ts-expect-error an empty list of scopes
withScopes(leaf, [])
// @ts-expect-error a guard without authentication
guard({})
// @ts-expect-error everyone() within a composition
anyOf(leaf, everyone())
// @ts-expect-error a credential made for one request is not cached
cached(bound)
// @ts-expect-error a caller's credential is not cached
cached(delegated)
// @ts-expect-error a delegated call without its caller
void delegated({ target: { origin: 'https://a.example', secure: true } })
// @ts-expect-error a misspelt option
guard({ authenticate: leaf, autorize: scope('a') })
// @ts-expect-error a subject is needed
vouchForPrincipal({ issuer: 'i' })

export const open: Guard<Anonymous> = guard({ authenticate: everyone() })
export const one: Guard<Principal> = guard({
  authenticate: anyOf(leaf, withScopes(leaf, ['a'])),
  authorize: anyOf(scope('a'), allOf(scope('b'), scope('c'))),
})
