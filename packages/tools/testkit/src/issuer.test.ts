import { guard, type AccessRequest, type Authenticator, type Decision } from '@portcullis/core'
import { parseAuthorization } from '@portcullis/core'
import { jwt } from '@portcullis/jwt'
import { afterEach, expect, test } from 'vitest'

import { asUser } from './as-user.ts'
import { testIssuer, type TestIssuer, type TokenFacts } from './issuer.ts'
import { jwksEndpoint, type JwksEndpoint } from './jwks-endpoint.ts'

const judge = (mechanism: Authenticator, issuer: TestIssuer, token: string): Decision | Promise<Decision> => {
  const request: AccessRequest = {
    credentials: [parseAuthorization(`Bearer ${token}`)],
    action: 'read',
    resource: 'orders',
    attributes: {},
    channel: { from: 'peer', protocol: 'test', secure: true },
  }
  return guard({ authenticate: mechanism, clock: issuer.clock }).decide(request)
}

const tokensOf = (issuer: TestIssuer): Authenticator =>
  jwt({
    issuer: issuer.issuer,
    audience: issuer.audience,
    keys: { jwks: issuer.jwks },
    clock: issuer.clock,
    revocations: issuer.revocations,
  })

const codeOf = async (issuer: TestIssuer, facts: TokenFacts): Promise<string | undefined> =>
  (await judge(tokensOf(issuer), issuer, issuer.token(facts))).code

test.each(['ES256', 'EdDSA', 'RS256'] as const)('mints tokens that %s verifies', async (algorithm) => {
  const issuer = testIssuer({ algorithm })
  const decision = await judge(tokensOf(issuer), issuer, issuer.token({ subject: 'bob', scopes: ['a', 'b'] }))
  expect(decision).toMatchObject({ outcome: 'allow', principal: { issuer: 'https://issuer.test', subject: 'bob' } })
  expect(decision.outcome === 'allow' && decision.principal.kind === 'principal' && [...decision.principal.scopes]).toEqual(['a', 'b'])
})

// Each defect must be the very one that its name says, or scenarios would pass for the wrong reason.
test.each([
  [{ expiresInSeconds: 0 }, 'ERR_JWT_EXPIRED'],
  [{ expiresInSeconds: 'never' }, 'ERR_JWT_CLAIM_MISSING'],
  [{ notBeforeInSeconds: 60 }, 'ERR_JWT_NOT_YET_VALID'],
  [{ audience: 'other' }, 'ERR_JWT_AUDIENCE_UNEXPECTED'],
  [{ issuer: 'https://other.test' }, 'ERR_JWT_ISSUER_UNKNOWN'],
  [{ defect: 'unsigned' }, 'ERR_JWT_UNSECURED'],
  [{ defect: 'algorithmConfusion' }, 'ERR_JWT_ALGORITHM_NOT_ALLOWED'],
  [{ defect: 'unknownKey' }, 'ERR_JWT_KEY_UNKNOWN'],
  [{ defect: 'foreignKey' }, 'ERR_JWT_SIGNATURE_INVALID'],
  [{ defect: 'tampered' }, 'ERR_JWT_SIGNATURE_INVALID'],
  [{ claims: { jti: 7 } }, 'ERR_JWT_CLAIM_INVALID'],
] as const)('mints a token with %o', async (facts, code) => {
  expect(await codeOf(testIssuer(), facts)).toBe(code)
})

test('lets a token expire now', async () => {
  const issuer = testIssuer()
  const tokens = tokensOf(issuer)
  const token = issuer.token({ expiresInSeconds: 3600 })
  expect(await judge(tokens, issuer, token)).toMatchObject({ outcome: 'allow' })
  await issuer.expire(token)
  expect(await judge(tokens, issuer, token)).toMatchObject({ code: 'ERR_JWT_EXPIRED' })
})

test('revokes one token, or all of a subject, and nothing that is minted afterwards', async () => {
  const issuer = testIssuer()
  const tokens = tokensOf(issuer)
  const [first, second, ofBob] = [issuer.token(), issuer.token(), issuer.token({ subject: 'bob' })]
  const decision = await judge(tokens, issuer, first)
  issuer.revoke({ token: first })
  expect(decision.outcome === 'allow' && decision.principal.kind === 'principal' && decision.principal.revoked).toBe(true)
  expect(await judge(tokens, issuer, first)).toMatchObject({ code: 'ERR_JWT_REVOKED' })
  expect(await judge(tokens, issuer, second)).toMatchObject({ outcome: 'allow' })
  issuer.revoke({ subject: 'alice' })
  expect(await judge(tokens, issuer, second)).toMatchObject({ code: 'ERR_JWT_REVOKED' })
  expect(await judge(tokens, issuer, ofBob)).toMatchObject({ outcome: 'allow' })
  expect(await judge(tokens, issuer, issuer.token())).toMatchObject({ outcome: 'allow' })
})

test('makes a user in every form', async () => {
  const issuer = testIssuer()
  const bob = asUser(issuer, { subject: 'bob', scopes: ['orders:read'] })
  expect(await judge(tokensOf(issuer), issuer, bob.token)).toMatchObject({ outcome: 'allow', principal: { subject: 'bob' } })
  expect(bob.headers.authorization).toBe(`Bearer ${bob.token}`)
  expect(bob.principal).toMatchObject({ issuer: issuer.issuer, subject: 'bob' })
  expect(bob.principal.scopes.has('orders:read')).toBe(true)
  expect(JSON.stringify(await bob.source({ target: { origin: 'https://localhost', secure: true } }))).not.toContain(bob.token)
})

let endpoint: JwksEndpoint | undefined
afterEach(async () => {
  await endpoint?.close()
  endpoint = undefined
})

test('publishes its keys, rotates and retires them, and goes down on demand', async () => {
  const issuer = testIssuer()
  endpoint = await jwksEndpoint(issuer)
  const { jwksUri, fetch } = endpoint
  const fresh = (): Authenticator =>
    jwt({ issuer: issuer.issuer, audience: issuer.audience, keys: { jwksUri, fetch }, clock: issuer.clock })
  const tokens = fresh()
  const old = issuer.token()
  expect(await judge(tokens, issuer, old)).toMatchObject({ outcome: 'allow' })
  expect(endpoint.requests).toBe(1)

  issuer.rotate()
  await issuer.clock.advanceAsync(1_000)
  expect(await judge(tokens, issuer, issuer.token())).toMatchObject({ outcome: 'allow' })
  expect(await judge(tokens, issuer, old)).toMatchObject({ outcome: 'allow' })

  issuer.retire()
  expect(await judge(fresh(), issuer, old)).toMatchObject({ code: 'ERR_JWT_KEY_UNKNOWN' })

  endpoint.down()
  expect(await judge(fresh(), issuer, issuer.token())).toMatchObject({ outcome: 'unavailable', reason: 'outage' })
  endpoint.up()
  expect(await judge(fresh(), issuer, issuer.token())).toMatchObject({ outcome: 'allow' })
})
