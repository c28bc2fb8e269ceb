import { describe, expect, it } from 'vitest'
import type { AccessRequest } from './access-request.ts'
import { authenticator, notMine, type Authenticator } from './authenticator.ts'
import { credentialOf, type Credential } from './credential.ts'
import { guard } from './guard.ts'
import { inboundCredentials } from './inbound-credentials.ts'
import { allOf, anyOf, type Policy } from './policy.ts'
import { vouchForPrincipal, type Principal } from './principal.ts'
import { secret } from './secret.ts'

const bearer: Credential = { kind: 'bearer', carrier: 'authorization', token: secret('t') }
const apiKey: Credential = { kind: 'apiKey', carrier: 'header:x-api-key', name: 'x-api-key', key: secret('k') }

function mechanism(kind: 'bearer' | 'apiKey', scheme?: string): Authenticator {
  return authenticator(
    kind,
    ({ credentials }) => (credentialOf(credentials, kind) === undefined ? notMine : vouchForPrincipal({ issuer: kind, subject: 'alice' })),
    scheme === undefined ? [] : [{ scheme }],
  )
}

async function prove(authenticate: Policy, credentials: readonly Credential[]): Promise<Principal> {
  const request: AccessRequest = {
    credentials,
    action: 'GET',
    resource: '/',
    attributes: {},
    channel: { from: 'peer', protocol: 'https', secure: true },
  }
  const decision = await guard({ authenticate }).decide(request)
  if (decision.outcome !== 'allow') throw new Error(decision.code)
  return decision.principal
}

describe('inbound credentials', () => {
  it('are kept only while somebody asks', async () => {
    const before = await prove(mechanism('bearer', 'Bearer'), [bearer])
    const kept = inboundCredentials()
    expect(kept.of(before)).toBeUndefined()
    const during = await prove(mechanism('bearer', 'Bearer'), [bearer])
    expect(kept.of(during)).toBe(bearer)
    const second = inboundCredentials()
    kept.close()
    kept.close()
    expect(kept.of(during)).toBeUndefined()
    expect(second.of(during)).toBe(bearer)
    second.close()
    using third = inboundCredentials()
    expect(third.of(during)).toBeUndefined()
  })

  it('are those by which the subject was proven, and no other', async () => {
    using kept = inboundCredentials()
    const both = [bearer, apiKey]
    const byToken = await prove(allOf(mechanism('bearer', 'Bearer'), mechanism('apiKey')), both)
    expect(byToken.factors).toHaveLength(1)
    expect(kept.of(byToken)).toBe(bearer)
    const byKey = await prove(allOf(mechanism('apiKey'), mechanism('bearer', 'Bearer')), both)
    expect(kept.of(byKey)).toBeUndefined()
    const either = await prove(anyOf(mechanism('apiKey'), mechanism('bearer', 'Bearer')), both)
    expect(kept.of(either)).toBeUndefined()
  })
})
