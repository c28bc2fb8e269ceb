import { formatAuthorization, Secret, type Credential, type RequestBinding } from '@portcullis/core'

import type { Evidence } from './evidence.ts'
import type { Carrier } from './harness.ts'
import type { TestIssuer, TokenFacts } from './issuer.ts'
import type { TestPki } from './pki.ts'
import { proofKey } from './proof.ts'
import type { Presented } from './scenario.ts'

const soundScopes = ['orders:read']

/** Mints what peers present, out of facts, and tells the evidence what of it is secret. */
export class Carriers {
  readonly #issuer: TestIssuer
  readonly #pki: TestPki
  readonly #evidence: Evidence
  readonly #proofKey = proofKey()
  readonly #proofs = new Map<string, Carrier>()

  constructor(issuer: TestIssuer, pki: TestPki, evidence: Evidence) {
    this.#issuer = issuer
    this.#pki = pki
    this.#evidence = evidence
  }

  of(presented: Presented): Carrier {
    const { place = 'first' } = presented
    if ('raw' in presented) {
      // What cannot be read is a secret all the same, but for its scheme.
      const rest = presented.raw.slice(presented.raw.indexOf(' ') + 1)
      if (rest.length > 16) this.#evidence.secret(rest)
      return { text: presented.raw, credential: undefined, facts: undefined, place, proof: undefined }
    }
    if ('basic' in presented) {
      const { username, password } = presented.basic
      this.#evidence.secret(password)
      return this.#carrier({ kind: 'basic', carrier: 'authorization', username, password: new Secret(password) }, undefined, place)
    }
    const { token, boundTo } = presented
    const facts = { scopes: soundScopes, ...token, ...(boundTo && { confirmation: { 'x5t#S256': this.#pki.clients[boundTo].thumbprint } }) }
    return this.#carrier(this.bearer(facts), facts, place)
  }

  bearer(facts: TokenFacts): Credential {
    const token = this.#issuer.token({ scopes: soundScopes, ...facts })
    this.#evidence.secret(token)
    return { kind: 'bearer', carrier: 'authorization', token: new Secret(token) }
  }

  /** A token with a proof over this binding. The same id gives the very same proof again. */
  proven(binding: Pick<RequestBinding, 'method' | 'uri'>, id?: string): Carrier {
    const known = id === undefined ? undefined : this.#proofs.get(id)
    if (known !== undefined) return known
    const token = this.#issuer.token({ scopes: soundScopes, confirmation: { jkt: this.#proofKey.jkt } })
    this.#evidence.secret(token)
    const proof = this.#proofKey.prove({ token, binding, nowMs: this.#issuer.clock.now(), ...(id !== undefined && { id }) })
    const credential: Credential = { kind: 'dpop', carrier: 'authorization', token: new Secret(token), proof }
    const carrier: Carrier = { text: `DPoP ${token}`, credential, facts: undefined, place: 'first', proof }
    if (id !== undefined) this.#proofs.set(id, carrier)
    return carrier
  }

  #carrier(credential: Credential, facts: TokenFacts | undefined, place: Carrier['place']): Carrier {
    const text = formatAuthorization(credential) ?? ''
    this.#evidence.secret(text.slice(text.indexOf(' ') + 1))
    return { text, credential, facts, place, proof: undefined }
  }
}
