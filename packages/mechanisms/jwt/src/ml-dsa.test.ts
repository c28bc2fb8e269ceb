import { generateKeyPairSync } from 'node:crypto'
import { exportJWK, importJWK, jwtVerify, SignJWT } from 'jose'
import { describe, expect, it } from 'vitest'
import { audience, b64, goodClaims, issuer, newClock, start } from './fixtures.test-support.ts'
import { createIssuer } from './sign.ts'
import { createVerifier } from './verify.ts'

const clock = newClock()

describe('ML-DSA (RFC 9964)', () => {
  it.each(['ML-DSA-44', 'ML-DSA-65', 'ML-DSA-87'] as const)('%s is issued and verified, here and by jose', async (algorithm) => {
    const { publicKey, privateKey } = generateKeyPairSync(algorithm.toLowerCase() as 'ml-dsa-44')
    const signing = createIssuer({ issuer, audience, subject: 'ada', key: { privateKey, keyId: 'pq' }, clock })
    const verifier = createVerifier({ issuer, audience, keys: { jwks: signing.jwks() }, clock })
    const token = await signing.issue()
    expect(await verifier.verify(token)).toMatchObject({ header: { alg: algorithm, kid: 'pq' }, claims: { sub: 'ada' } })
    const changed = token.replace(/\.[^.]+\./, `.${b64(goodClaims({ sub: 'eve' }))}.`)
    expect(await verifier.verify(changed)).toMatchObject({ refused: 'ERR_JWT_SIGNATURE_INVALID' })

    const jwk = { ...(await exportJWK(publicKey)), alg: algorithm }
    await jwtVerify(token, await importJWK(jwk, algorithm), { issuer, audience, currentDate: new Date(start * 1000) })
    const foreign = await new SignJWT(goodClaims()).setProtectedHeader({ alg: algorithm }).sign(privateKey)
    expect(await verifier.verify(foreign)).toMatchObject({ claims: { sub: 'ada' } })
  })

  it('is bound to its parameter set', () => {
    const { publicKey } = generateKeyPairSync('ml-dsa-44')
    const make = () => createVerifier({ issuer, audience, keys: { publicKey, algorithms: ['ML-DSA-65'] } })
    expect(make).toThrow(expect.objectContaining({ code: 'ERR_JWT_KEY_UNUSABLE' }))
  })
})
