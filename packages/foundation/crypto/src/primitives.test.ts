import { createHash, createHmac, createSecretKey, generateKeyPairSync, hkdfSync } from 'node:crypto'
import { inspect } from 'node:util'
import { describe, expect, test } from 'vitest'
import { open, seal } from './aead.ts'
import { equalConstantTime } from './constant-time.ts'
import { md5, sha1 } from './danger.ts'
import { digest, digestLength } from './digest.ts'
import { CryptoError, cryptoErrorCodes } from './errors.ts'
import { hkdf } from './hkdf.ts'
import { hmac, verifyHmac } from './hmac.ts'
import { refusal } from './openssl.test-support.ts'
import { randomBytes, randomId } from './random.ts'

const hex = (text: string) => Buffer.from(text, 'hex')

describe('digest', () => {
  // FIPS 180-4 examples.
  test.each([
    ['sha256', 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad'],
    ['sha384', 'cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed8086072ba1e7cc2358baeca134c825a7'],
    [
      'sha512',
      'ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f',
    ],
  ] as const)('%s', (algorithm, expected) => {
    expect(digest(algorithm, 'abc', 'hex')).toBe(expected)
    expect(digest(algorithm, Buffer.from('abc'))).toEqual(hex(expected))
    expect(digest(algorithm, 'abc', 'base64url')).toBe(hex(expected).toString('base64url'))
    expect(digest(algorithm, 'abc', 'base64')).toBe(hex(expected).toString('base64'))
    expect(digest(algorithm, 'abc', 'latin1')).toBe(hex(expected).toString('latin1'))
    expect(digestLength(algorithm)).toBe(expected.length / 2)
  })

  test('text is UTF-8', () => {
    expect(digest('sha256', 'ü✓')).toEqual(createHash('sha256').update('ü✓', 'utf8').digest())
  })

  test('the broken ones only as symbols', async () => {
    expect(digest(md5, 'abc', 'hex')).toBe('900150983cd24fb0d6963f7d28e17f72')
    expect(digest(sha1, 'abc', 'hex')).toBe('a9993e364706816aba3e25717850c26c9cd0d89d')
    for (const name of ['md5', 'sha1', 'sha-256', 'SHA256', '', '__proto__', undefined, Symbol('md5')]) {
      await refusal('ERR_CRYPTO_ALGORITHM_UNKNOWN', () => digest(name as never, 'abc'))
    }
  })

  test('what is neither text nor bytes', async () => {
    for (const data of [undefined, null, 7, {}, '\udc00']) await refusal('ERR_CRYPTO_OPTION_INVALID', () => digest('sha256', data as never))
  })
})

describe('hmac', () => {
  // RFC 4231 section 4.3.
  test.each([
    ['sha256', '5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843'],
    ['sha384', 'af45d2e376484031617f78d2b58a6b1b9c7ef464f5a01b47e42ec3736322445e8e2240ca5e69e2c78b3239ecfab21649'],
    [
      'sha512',
      '164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea2505549758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737',
    ],
  ] as const)('%s', (algorithm, expected) => {
    const text = 'what do ya want for nothing?'
    for (const key of ['Jefe', Buffer.from('Jefe'), createSecretKey(Buffer.from('Jefe'))]) {
      expect(hmac(algorithm, key, text)).toEqual(hex(expected))
      expect(verifyHmac(algorithm, key, text, hex(expected))).toBe(true)
    }
    for (const tag of [
      hex(expected).subarray(1),
      Buffer.alloc(0),
      Buffer.concat([hex(expected), hex('00')]),
      hex(expected).toReversed(),
      expected,
      undefined,
    ]) {
      expect(verifyHmac(algorithm, 'Jefe', text, tag as never)).toBe(false)
    }
    expect(verifyHmac(algorithm, 'Jefe', `${text}?`, hex(expected))).toBe(false)
    expect(verifyHmac(algorithm, 'jefe', text, hex(expected))).toBe(false)
  })

  test('SHA-1 for old peers', () => {
    expect(hmac(sha1, 'k', 'd')).toEqual(createHmac('sha1', 'k').update('d').digest())
  })

  test('keys that are none', async () => {
    await refusal('ERR_CRYPTO_OPTION_INVALID', () => hmac('sha256', '', 'x'))
    await refusal('ERR_CRYPTO_OPTION_INVALID', () => hmac('sha256', new Uint8Array(), 'x'))
    await refusal('ERR_CRYPTO_OPTION_INVALID', () => hmac('sha256', createSecretKey(Buffer.alloc(0)), 'x'))
    await refusal('ERR_CRYPTO_OPTION_INVALID', () => hmac('sha256', undefined as never, 'x'))
    await refusal('ERR_CRYPTO_KEY_WRONG_KIND', () => hmac('sha256', generateKeyPairSync('ed25519').publicKey, 'x'))
  })
})

describe('equalConstantTime', () => {
  test('texts and bytes of any length', () => {
    expect(equalConstantTime('a', 'a')).toBe(true)
    expect(equalConstantTime('', '')).toBe(true)
    expect(equalConstantTime('ü', Buffer.from('ü'))).toBe(true)
    expect(equalConstantTime('a', 'b')).toBe(false)
    expect(equalConstantTime('a', 'aa')).toBe(false)
    expect(equalConstantTime('', 'a')).toBe(false)
    expect(equalConstantTime(Buffer.from([0]), Buffer.from([0, 0]))).toBe(false)
  })

  test('what is no text equals nothing, not even itself', () => {
    expect(equalConstantTime('\ud800', '\ufffd')).toBe(false)
    expect(equalConstantTime('\ud800', '\ud800')).toBe(false)
    expect(equalConstantTime('\ud800', '')).toBe(false)
    expect(equalConstantTime(undefined as never, undefined as never)).toBe(false)
    expect(equalConstantTime(undefined as never, '')).toBe(false)
  })
})

describe('random', () => {
  test('lengths', () => {
    expect(randomBytes(7)).toHaveLength(7)
    expect(randomId()).toMatch(/^[\w-]{22}$/)
    expect(randomId(256)).toMatch(/^[\w-]{43}$/)
    expect(new Set(Array.from({ length: 1000 }, () => randomId())).size).toBe(1000)
  })

  test('lengths that make no sense', async () => {
    for (const length of [0, -1, 1.5, Number.NaN, 65_537, '8', undefined])
      await refusal('ERR_CRYPTO_OPTION_INVALID', () => randomBytes(length as never))
    for (const bits of [0, 8, 63, Number.NaN, 4097]) await refusal('ERR_CRYPTO_OPTION_INVALID', () => randomId(bits))
  })
})

describe('hkdf', () => {
  test('RFC 5869 appendix A.1 and A.3', () => {
    const secret = Buffer.alloc(22, 0x0b)
    const okm = '3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865'
    expect(hkdf('sha256', { secret, salt: hex('000102030405060708090a0b0c'), info: hex('f0f1f2f3f4f5f6f7f8f9'), length: 42 })).toEqual(
      hex(okm),
    )
    const without = '8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8'
    expect(hkdf('sha256', { secret, length: 42 })).toEqual(hex(without))
  })

  test('other hashes and key objects', () => {
    const expected = Buffer.from(hkdfSync('sha512', 'secret', 'salt', 'info', 100))
    expect(hkdf('sha512', { secret: createSecretKey(Buffer.from('secret')), salt: 'salt', info: 'info', length: 100 })).toEqual(expected)
  })

  test('bounds', async () => {
    for (const length of [0, 255 * 32 + 1, Number.NaN])
      await refusal('ERR_CRYPTO_OPTION_INVALID', () => hkdf('sha256', { secret: 'x', length }))
    await refusal('ERR_CRYPTO_OPTION_INVALID', () => hkdf('sha256', { secret: '', length: 1 }))
    await refusal('ERR_CRYPTO_OPTION_INVALID', () => hkdf('sha256', { secret: 'x', length: 1, info: 'x'.repeat(1025) }))
    await refusal('ERR_CRYPTO_OPTION_UNKNOWN', () => hkdf('sha256', { secret: 'x', length: 1, inf: 'x' } as never))
    await refusal('ERR_CRYPTO_ALGORITHM_UNKNOWN', () => hkdf(sha1 as never, { secret: 'x', length: 1 }))
  })
})

describe('aead', () => {
  const key = randomBytes(32)

  test.each([16, 24, 32])('with a key of %i bytes', (length) => {
    const own = randomBytes(length)
    const sealed = seal(own, 'héllo', { additionalData: 'row 7' })
    expect(sealed).toHaveLength(12 + 6 + 16)
    expect(open(own, sealed, { additionalData: 'row 7' }).toString()).toBe('héllo')
    expect(open(createSecretKey(own), sealed, { additionalData: Buffer.from('row 7') }).toString()).toBe('héllo')
    expect(open(own, seal(own, ''))).toHaveLength(0)
  })

  test('opens a text of NIST’s vectors', () => {
    // The GCM specification, test case 4, with AES-128.
    const nonce = 'cafebabefacedbaddecaf888'
    const ciphertext =
      '42831ec2217774244b7221b784d0d49ce3aa212f2c02a4e035c17e2329aca12e21d514b25466931c7d8f6a5aac84aa051ba30b396a0aac973d58e091'
    const sealed = hex(`${nonce}${ciphertext}5bc94fbc3221a5db94fae95ae7121a47`)
    const plaintext = open(hex('feffe9928665731c6d6a8f9467308308'), sealed, {
      additionalData: hex('feedfacedeadbeeffeedfacedeadbeefabaddad2'),
    })
    expect(plaintext.toString('hex')).toMatch(/^d9313225f88406e5a55909c5aff5269a.*ba637b39$/)
  })

  test('never the same nonce', () => {
    expect(new Set(Array.from({ length: 100 }, () => seal(key, 'x').subarray(0, 12).toString('hex'))).size).toBe(100)
  })

  test('anything changed is refused in one way', async () => {
    const sealed = seal(key, 'hello', { additionalData: 'a' })
    const attempts: (() => unknown)[] = Array.from({ length: sealed.length }, (_, i) => () => {
      const changed = Buffer.from(sealed)
      changed[i] = (changed[i] ?? 0) ^ 1
      return open(key, changed, { additionalData: 'a' })
    })
    attempts.push(
      () => open(key, sealed, { additionalData: 'b' }),
      () => open(key, sealed),
      () => open(randomBytes(32), sealed, { additionalData: 'a' }),
      () => open(key, sealed.subarray(0, -1), { additionalData: 'a' }),
      () => open(key, Buffer.alloc(0)),
      () => open(key, Buffer.alloc(27)),
      () => open(key, Buffer.alloc(28)),
    )
    for (const attempt of attempts) {
      const error = await refusal('ERR_CRYPTO_DECRYPTION_FAILED', attempt)
      expect(error.family).toBe('authentication')
      expect(error.cause).toBeUndefined()
    }
  })

  test('keys of other lengths, options that do not exist', async () => {
    for (const length of [1, 15, 31, 33, 64]) await refusal('ERR_CRYPTO_KEY_WEAK', () => seal(randomBytes(length), 'x'))
    await refusal('ERR_CRYPTO_OPTION_UNKNOWN', () => seal(key, 'x', { nonce: Buffer.alloc(12) } as never))
  })
})

describe('errors', () => {
  test('carry the brand that the project’s errors share', () => {
    const error = new CryptoError('ERR_CRYPTO_HASHING_OVERLOADED', 'inside', { retryAfterMs: 5, cause: new Error('why') })
    expect((error as unknown as Record<symbol, unknown>)[Symbol.for('portcullis.error')]).toBe(true)
    expect(error).toMatchObject({ family: 'unavailable', reason: 'overload', retryAfterMs: 5, name: 'CryptoError' })
    expect(error.publicMessage).not.toContain('inside')
    expect(inspect(error)).toContain('ERR_CRYPTO_HASHING_OVERLOADED')
  })

  test('every code has a sentence and a family', () => {
    for (const [code, sentence] of Object.entries(cryptoErrorCodes)) {
      expect(sentence).toMatch(/^[A-Z].*\.$/)
      expect(new CryptoError(code as never, 'x').family).toMatch(/^(authentication|unavailable|configuration)$/)
    }
  })
})
