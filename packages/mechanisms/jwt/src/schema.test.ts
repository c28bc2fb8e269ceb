import { UnavailableError } from '@portcullis/core'
import { describe, expect, expectTypeOf, it } from 'vitest'
import { audience, ed25519, forge, goodClaims, issuer, newClock } from './fixtures.test-support.ts'
import type { StandardSchema } from './schema.ts'
import { createVerifier } from './verify.ts'

const clock = newClock()
const token = forge({ alg: 'EdDSA' }, goodClaims({ tenant: 'blue' }), ed25519.privateKey)

interface Tenant {
  readonly tenant: string
  readonly [claim: string]: unknown
}

function schema(validate: (value: unknown) => unknown): StandardSchema<Tenant> {
  return { '~standard': { version: 1, vendor: 'test', validate: validate as never } }
}

function verifierBy(validate: (value: unknown) => unknown) {
  return createVerifier({
    issuer,
    audience,
    keys: { publicKey: ed25519.publicKey },
    schema: schema(validate),
    clock,
    verifyOn: 'eventLoop',
  })
}

describe('a schema', () => {
  it('gives the claims their type', async () => {
    const result = await verifierBy((value) => ({ value })).verify(token)
    if ('refused' in result) throw new Error(result.refused)
    expectTypeOf(result.claims).toEqualTypeOf<Tenant>()
    expect(result.claims.tenant).toBe('blue')
  })

  it.each<[string, (value: unknown) => unknown]>([
    ['finds issues', () => ({ issues: [{ message: 'no tenant' }] })],
    ['finds issues, later', async () => ({ issues: [] })],
    ['throws', () => { throw new Error('x') }],
    ['rejects', async () => Promise.reject(new Error('x'))],
    ['returns nothing', () => undefined],
    ['makes no object', () => ({ value: 'blue' })],
    ['makes nothing', () => ({})],
  ])('refuses the token where it %s', async (_, validate) => {
    expect(await verifierBy(validate).verify(token)).toMatchObject({ refused: 'ERR_JWT_CLAIMS_REJECTED' })
  }) // prettier-ignore

  it('may be unable to tell', async () => {
    const down = async (): Promise<never> => Promise.reject(new UnavailableError('ERR_TIMEOUT', 'down'))
    await expect(verifierBy(down).verify(token)).rejects.toMatchObject({ family: 'unavailable' })
  })

  it('is asked for good tokens only', async () => {
    let asked = 0
    const verifier = verifierBy((value) => {
      asked++
      return { value }
    })
    expect(await verifier.verify(`${token.slice(0, -4)}AAAA`)).toMatchObject({ refused: 'ERR_JWT_SIGNATURE_INVALID' })
    expect(asked).toBe(0)
  })
})
