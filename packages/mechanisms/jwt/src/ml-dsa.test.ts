import { generateKeyPairSync, type JsonWebKey } from 'node:crypto'
import { exportJWK, importJWK, jwtVerify, SignJWT } from 'jose'
import { describe, expect, it } from 'vitest'
import { audience, b64, ed25519, forge, goodClaims, issuer, newClock, start } from './fixtures.test-support.ts'
import { createIssuer } from './sign.ts'
import { createVerifier } from './verify.ts'

const clock = newClock()
// From Node 24.6 on.
const isInRuntime = pairOf('ML-DSA-44') !== undefined

function pairOf(algorithm: 'ML-DSA-44' | 'ML-DSA-65' | 'ML-DSA-87') {
  try {
    return generateKeyPairSync(algorithm.toLowerCase() as 'ml-dsa-44')
  } catch {
    return undefined
  }
}

function withRuntime(): void {
  it.each(['ML-DSA-44', 'ML-DSA-65', 'ML-DSA-87'] as const)('%s is issued and verified, here and by jose', async (algorithm) => {
    const { publicKey, privateKey } = pairOf(algorithm)!
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
    const { publicKey } = pairOf('ML-DSA-44')!
    const make = () => createVerifier({ issuer, audience, keys: { publicKey, algorithms: ['ML-DSA-65'] } })
    expect(make).toThrow(expect.objectContaining({ code: 'ERR_JWT_KEY_UNUSABLE' }))
  })
}

function withoutRuntime(): void {
  const jwk = { kty: 'AKP', alg: 'ML-DSA-44', kid: 'pq', pub: Buffer.alloc(1312, 1).toString('base64url') } as JsonWebKey
  const token = forge({ alg: 'ML-DSA-44', kid: 'pq' }, goodClaims(), ed25519.privateKey)

  it('its keys are refused by us, and not by an exception of the runtime', () => {
    const make = () => createVerifier({ issuer, audience, keys: { jwks: { keys: [jwk] } } })
    expect(make).toThrow(expect.objectContaining({ family: 'configuration', code: expect.stringMatching(/^ERR_(JWT|CRYPTO)_KEY_/) }))
  })

  it('its keys are passed over in a published set, and its tokens refused', async () => {
    const published = { ...ed25519.publicKey.export({ format: 'jwk' }), kid: 'ed' }
    const keys = { jwksUri: 'https://issuer.example/jwks', fetch: async () => Response.json({ keys: [jwk, published] }) }
    const verifier = createVerifier({ issuer, audience, keys, clock })
    expect(await verifier.verify(forge({ alg: 'EdDSA', kid: 'ed' }, goodClaims(), ed25519.privateKey))).toMatchObject({
      claims: { sub: 'ada' },
    })
    expect(await verifier.verify(token)).toMatchObject({ refused: 'ERR_JWT_KEY_UNKNOWN' })
  })
}

describe(`ML-DSA (RFC 9964), where the runtime ${isInRuntime ? 'has' : 'lacks'} it`, isInRuntime ? withRuntime : withoutRuntime)
