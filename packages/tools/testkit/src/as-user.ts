import { Secret, vouchForPrincipal, type CredentialSource, type Principal } from '@portcullis/core'

import type { TestIssuer, TokenFacts } from './issuer.ts'

/** A user of a test, in every form in which a test may need one. */
export interface TestUser {
  readonly token: string
  /** For whoever speaks HTTP: `fetch(url, { headers: alice.headers })`. */
  readonly headers: { readonly authorization: string }
  /** For the clients of the adapters. It yields the one token, to whatever target. */
  readonly source: CredentialSource
  /** For handlers that are called directly. Nothing has proven it. */
  readonly principal: Principal
}

/** Makes a user of these facts: `asUser(issuer, { subject: 'alice', scopes: ['orders:read'] })`. */
export function asUser(issuer: TestIssuer, facts: TokenFacts = {}): TestUser {
  const token = issuer.token(facts)
  return {
    token,
    headers: { authorization: `Bearer ${token}` },
    source: () => ({ credential: { kind: 'bearer', carrier: 'authorization', token: new Secret(token) } }),
    principal: vouchForPrincipal({
      issuer: facts.issuer ?? issuer.issuer,
      subject: facts.subject ?? 'alice',
      scopes: facts.scopes ?? [],
      claims: facts.claims ?? {},
      ...(facts.confirmation && { confirmation: facts.confirmation }),
    }),
  }
}
