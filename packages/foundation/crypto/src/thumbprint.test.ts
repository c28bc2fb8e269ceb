import { createSecretKey, generateKeyPairSync, type JsonWebKey } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { digest } from './digest.ts'
import { publicJwk } from './jwk.ts'
import { refusal, runtimeHas } from './openssl.test-support.ts'
import { parsePublicKey } from './public-key.ts'
import { loadSecretKey, parseSecretKey } from './secret-key.ts'
import { jwkThumbprint } from './thumbprint.ts'

describe('jwkThumbprint', () => {
  test('the example of RFC 7638 section 3.1', () => {
    const jwk = {
      kty: 'RSA',
      n: '0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw',
      e: 'AQAB',
      alg: 'RS256',
      kid: '2011-04-29',
    }
    expect(jwkThumbprint(jwk)).toBe('NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs')
    expect(jwkThumbprint(parsePublicKey({ jwk }))).toBe('NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs')
  })

  test('the example of RFC 8037 appendix A.3', () => {
    const jwk = { kty: 'OKP', crv: 'Ed25519', x: '11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo' }
    expect(jwkThumbprint(jwk)).toBe('kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k')
  })

  test('the same for both halves and every spelling', () => {
    const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
    const { y, ...rest } = publicKey.export({ format: 'jwk' })
    const thumbprint = jwkThumbprint(privateKey)
    expect(jwkThumbprint(publicKey)).toBe(thumbprint)
    expect(jwkThumbprint({ use: 'sig', y: y!, ...rest })).toBe(thumbprint)
    expect(jwkThumbprint(publicKey, 'sha512')).toHaveLength(86)
  })

  test('secrets and ML-DSA', () => {
    const jwk = { kty: 'AKP', alg: 'ML-DSA-44', pub: 'AAEC' } as JsonWebKey
    expect(jwkThumbprint(jwk)).toBe(digest('sha256', '{"alg":"ML-DSA-44","kty":"AKP","pub":"AAEC"}', 'base64url'))
    if (runtimeHas('ml-dsa-44')) {
      const { publicKey } = generateKeyPairSync('ml-dsa-44')
      expect(jwkThumbprint(publicKey)).toBe(jwkThumbprint({ ...publicKey.export({ format: 'jwk' }), kid: 'x' } as JsonWebKey))
    }
    expect(jwkThumbprint(createSecretKey(Buffer.from('abc')))).toBe(digest('sha256', '{"k":"YWJj","kty":"oct"}', 'base64url'))
  })

  test('missing members and unknown types', async () => {
    await refusal('ERR_CRYPTO_KEY_MALFORMED', () => jwkThumbprint({ kty: 'EC', crv: 'P-256', x: 'AA' }))
    await refusal('ERR_CRYPTO_KEY_MALFORMED', () => jwkThumbprint({ kty: 'EC', crv: 'P-256', x: 'AA', y: '' }))
    await refusal('ERR_CRYPTO_KEY_UNSUPPORTED', () => jwkThumbprint({ kty: '__proto__' }))
    await refusal('ERR_CRYPTO_KEY_MALFORMED', () => jwkThumbprint({ kty: 'EC', crv: 'P-256', x: 'AA', y: 'AA=' }))
    await refusal('ERR_CRYPTO_KEY_UNSUPPORTED', () => jwkThumbprint({}))
    await refusal('ERR_CRYPTO_OPTION_INVALID', () => jwkThumbprint(null as never))
  })
})

test('publicJwk gives away nothing private', async () => {
  for (const pair of [
    generateKeyPairSync('ec', { namedCurve: 'P-256' }),
    generateKeyPairSync('rsa', { modulusLength: 2048 }),
    generateKeyPairSync('ed25519'),
  ]) {
    const jwk = publicJwk(pair.privateKey)
    expect(jwk).toEqual(pair.publicKey.export({ format: 'jwk' }))
    expect(parsePublicKey({ jwk }).equals(pair.publicKey)).toBe(true)
  }
  await refusal('ERR_CRYPTO_KEY_WRONG_KIND', () => publicJwk(createSecretKey(Buffer.from('abc'))))
})

describe('secret keys', () => {
  const expected = createSecretKey(Buffer.from('ü secret'))

  test('every form', () => {
    const sources = [
      { secret: 'ü secret' },
      { secret: Buffer.from('ü secret') },
      { secret: { reveal: () => 'ü secret' } },
      { jwk: expected.export({ format: 'jwk' }) },
      expected,
    ]
    for (const source of sources) expect(parseSecretKey(source).equals(expected)).toBe(true)
  })

  test('empty, of another kind, malformed', async () => {
    await refusal('ERR_CRYPTO_OPTION_INVALID', () => parseSecretKey({ secret: '' }))
    await refusal('ERR_CRYPTO_OPTION_INVALID', () => parseSecretKey({ secret: undefined } as never))
    await refusal('ERR_CRYPTO_OPTION_INVALID', () => parseSecretKey({ secret: '\ud800' }))
    await refusal('ERR_CRYPTO_KEY_WRONG_KIND', () => parseSecretKey(generateKeyPairSync('ed25519').privateKey))
    await refusal('ERR_CRYPTO_KEY_WRONG_KIND', () =>
      parseSecretKey({ jwk: generateKeyPairSync('ed25519').publicKey.export({ format: 'jwk' }) }),
    )
    for (const k of ['', 'AAAA=', 'A', 'AB', undefined]) {
      await refusal('ERR_CRYPTO_KEY_MALFORMED', () => loadSecretKey({ jwk: { kty: 'oct', k: k as string } }))
    }
  })
})
