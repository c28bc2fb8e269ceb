import { Revocation } from '@portcullis/core'
import { describe, expect, it } from 'vitest'
import { claimsJudge } from './claims-judge.ts'
import { audience, goodClaims, issuer, newClock, start } from './fixtures.test-support.ts'

const clock = newClock()
const standing = { acceptedUntilMs: Number.POSITIVE_INFINITY, revocations: [] }

describe('claims that an issuer stated otherwise', () => {
  const judge = claimsJudge({ issuer, audience, claims: { tenant: 'blue' }, clock })
  const judged = async (claims: Readonly<Record<string, unknown>>): Promise<unknown> =>
    judge(goodClaims({ tenant: 'blue', ...claims }), standing)

  it('make the principal that a token would', async () => {
    expect(await judged({ scope: 'read', cnf: { jkt: 'A'.repeat(43) }, act: { sub: 'gateway' } })).toMatchObject({
      issuer,
      subject: 'ada',
      confirmation: { jkt: 'A'.repeat(43) },
      actor: { subject: 'gateway' },
      expiresAtMs: (start + 300) * 1000,
    })
  })

  it.each([
    ['ERR_JWT_ISSUER_UNKNOWN', { iss: 'https://other.example' }],
    ['ERR_JWT_CLAIM_MISSING', { iss: undefined }],
    ['ERR_JWT_AUDIENCE_UNEXPECTED', { aud: 'billing' }],
    ['ERR_JWT_EXPIRED', { exp: start }],
    ['ERR_JWT_CLAIM_MISSING', { exp: undefined }],
    ['ERR_JWT_NOT_YET_VALID', { nbf: start + 1 }],
    ['ERR_JWT_CLAIM_UNEXPECTED', { tenant: 'red' }],
    ['ERR_JWT_CLAIM_MISSING', { sub: undefined }],
    ['ERR_JWT_CONFIRMATION_UNSUPPORTED', { cnf: {} }],
  ])('are refused as those of a token: %s', async (code, claims) => {
    expect(await judged(claims)).toMatchObject({ refused: code })
  })

  it('end with what they rest on', async () => {
    const revocation = new Revocation()
    const principal = await judge(goodClaims({ tenant: 'blue' }), { acceptedUntilMs: (start + 10) * 1000, revocations: [revocation] })
    if ('refused' in principal) throw new Error(principal.refused)
    expect(principal.expiresAtMs).toBe((start + 10) * 1000)
    revocation.revoke('test')
    expect(principal.revoked).toBe(true)
  })

  it('are what the schema makes of them', async () => {
    const schema = (result: unknown) => ({ '~standard': { version: 1, vendor: 'test', validate: () => result } }) as never
    const bound = { cnf: { jkt: 'A'.repeat(43) } }
    const by = async (result: unknown): Promise<unknown> =>
      claimsJudge({ issuer, audience, schema: schema(result), clock })(goodClaims(bound), standing)
    const expected = { subject: 'ada', claims: { tenant: 'BLUE' }, confirmation: bound.cnf }
    expect(await by({ value: { tenant: 'BLUE' } })).toMatchObject(expected)
    expect(await by(Promise.resolve({ value: { tenant: 'BLUE' } }))).toMatchObject(expected)
    expect(await by({ issues: [{ message: 'no' }] })).toMatchObject({ refused: 'ERR_JWT_CLAIMS_REJECTED' })
  })
})
