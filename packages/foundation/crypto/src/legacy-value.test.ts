import { createCipheriv, createHash } from 'node:crypto'
import { inspect } from 'node:util'
import { describe, expect, test } from 'vitest'
import { decryptLegacyValue, legacyForm } from './legacy-value.ts'
import { refusal } from './openssl.test-support.ts'
import { verifyPassword } from './password.ts'

const wrap = (value: string) => `@encrypted:{${value}}`

describe('decryptLegacyValue', () => {
  test.each([
    ['pIQrB9YfCQK1eIWH5d6UaZXA3zr+60JxSBcpa2PY7a8=', 'ballerina', 'password'],
    ['hcBLnR+b4iaGS9PEtCMSQOUXJQTQo+zknNxCkpZ0t7w=', '123', 'foo'],
    ['jFMAXsuMSiOCaxuDLuQjVXzMzZxQrten0652/j93Amw=', '12345', 'ballerina'],
    ['Z1CfAJwCEzmv2JNXIPnR/9AXHqOJqnDaaAQ7HsggGLQ=', '12345', 'Ballerina'],
    ['ODYUoKSw0xW31eoxa/s2ESdBNgk1gX77txBIgpLC6NQ=', 'ballerina', 'waruna'],
    ['JqlfWNWKM6gYiaGnS0Hse1J9F/v48gUR0Kxfa5gwjcM=', '123', 'password'],
  ])('%s', (value, secret, plaintext) => {
    expect(decryptLegacyValue(wrap(value), secret)).toBe(plaintext)
    expect(decryptLegacyValue(wrap(value), { reveal: () => secret })).toBe(plaintext)
  })

  test('a wrong secret, also where its padding happens to fit', async () => {
    const error = await refusal('ERR_CRYPTO_PASSWORD_WRONG', () =>
      decryptLegacyValue(wrap('pIQrB9YfCQK1eIWH5d6UaZXA3zr+60JxSBcpa2PY7a8='), 'balerina'),
    )
    expect(inspect(error)).not.toContain('balerina')
    await refusal('ERR_CRYPTO_PASSWORD_WRONG', () => decryptLegacyValue(wrap('JqlfWNWKM6gYiaGnS0Hse1J9F/v48gUR0Kxfa5gwjcM='), '12345'))
  })

  test('the older releases', () => {
    const sha256 = (text: string) => createHash('sha256').update(text).digest()
    const encrypt = (name: string, key: Buffer, iv: Buffer | null) => {
      const cipher = createCipheriv(name, key, iv)
      return wrap(Buffer.concat([cipher.update('päss'), cipher.final()]).toString('base64'))
    }
    const middle = encrypt('aes-256-cbc', sha256('secret'), sha256('0123456789ABCDEF').subarray(0, 16))
    expect(decryptLegacyValue(middle, 'secret', { release: '0.964' })).toBe('päss')
    const first = encrypt('aes-128-ecb', Buffer.from('secret          '), null)
    expect(decryptLegacyValue(first, 'secret', { release: '0.963' })).toBe('päss')
  })

  test('what is not of this form', async () => {
    const good = 'pIQrB9YfCQK1eIWH5d6UaZXA3zr+60JxSBcpa2PY7a8='
    const bad = [
      '',
      'password',
      good,
      `@encrypted:${good}`,
      wrap(''),
      wrap(good.slice(0, -4)),
      wrap(`${good}\n`),
      ` ${wrap(good)}`,
      `${wrap(good)} `,
      wrap(good.replace('p', '!')),
    ]
    for (const value of [...bad, wrap('A'.repeat(70_000))])
      await refusal('ERR_CRYPTO_LEGACY_VALUE_MALFORMED', () => decryptLegacyValue(value, 'ballerina'))
    await refusal('ERR_CRYPTO_OPTION_INVALID', () => decryptLegacyValue(wrap(good), ''))
    await refusal('ERR_CRYPTO_OPTION_INVALID', () => decryptLegacyValue(wrap(good), 'x', { release: '2.0' as never }))
    await refusal('ERR_CRYPTO_OPTION_UNKNOWN', () => decryptLegacyValue(wrap(good), 'x', { version: '1.2' } as never))
  })
})

describe('digests', () => {
  const of = (name: string) => createHash(name).update('xxx').digest('hex')

  test.each(['sha256', 'sha384', 'sha512'])('@%s, in either case', async (name) => {
    for (const hex of [of(name), of(name).toUpperCase()]) {
      expect(await verifyPassword('xxx', `@${name}:{${hex}}`)).toBe(true)
      expect(await verifyPassword('xxxx', `@${name}:{${hex}}`)).toBe(false)
    }
  })

  test('the sample of the old documentation', async () => {
    expect(await verifyPassword('xxx', '@sha256:{cd2eb0837c9b4c962c22d2ff8b5441b7b45805887f051d39bf133b583baf6860}')).toBe(true)
  })
})

test('legacyForm', () => {
  expect(legacyForm('@sha256:{00}')).toBe('digest')
  expect(legacyForm('@sha512:junk')).toBe('digest')
  expect(legacyForm('@encrypted:{AA==}')).toBe('encrypted')
  for (const value of ['', 'x', '@sha1:{00}', ' @sha256:{00}', '$scrypt$']) expect(legacyForm(value)).toBeUndefined()
})
