import { execFileSync } from 'node:child_process'
import { mkdtempSync, cpSync, rmSync } from 'node:fs'
import * as crypto from 'node:crypto'
import { pbkdf2Sync, scryptSync } from 'node:crypto'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { inspect } from 'node:util'
import { hash as bcryptHash } from '@node-rs/bcrypt'
import { hash as argon2Hash, hashRawSync } from '@node-rs/argon2'
import { describe, expect, test } from 'vitest'
import { hashingLimiter } from './hashing-limiter.ts'
import { refusal } from './openssl.test-support.ts'
import { decoyPasswordHash, parsePasswordHash } from './password-hash.ts'
import { defaultPasswordPolicy, needsRehash, type PasswordPolicy } from './password-policy.ts'
import { hashPassword, verifyPassword } from './password.ts'

const b64 = (bytes: Uint8Array) => Buffer.from(bytes).toString('base64').replace(/=+$/, '')
const salt = Buffer.from('0123456789abcdef')
const scrypt = (password: string, ln: number, r: number, p: number) =>
  `$scrypt$ln=${ln},r=${r},p=${p}$${b64(salt)}$${b64(scryptSync(password, salt, 32, { N: 2 ** ln, r, p }))}`
const pbkdf2 = (password: string, name: string, i: number) =>
  `$pbkdf2-${name}$i=${i}$${b64(salt)}$${b64(pbkdf2Sync(password, salt, i, 32, name))}`
const argon2 = (password: string) =>
  `$argon2id$v=19$m=64,t=1,p=1$${b64(salt)}$${b64(hashRawSync(password, { salt, memoryCost: 64, timeCost: 1, parallelism: 1 }))}`

describe('hashPassword', () => {
  test.each<[string, PasswordPolicy | undefined, RegExp]>([
    ['scrypt by default', undefined, /^\$scrypt\$ln=14,r=8,p=5\$[A-Za-z0-9+/]{22}\$[A-Za-z0-9+/]{43}$/],
    ['argon2id', { algorithm: 'argon2id' }, /^\$argon2id\$v=19\$m=19456,t=2,p=1\$[A-Za-z0-9+/]{22}\$[A-Za-z0-9+/]{43}$/],
    [
      'argon2id of Ballerina’s defaults',
      { algorithm: 'argon2id', memoryKib: 65_536, passes: 3, parallelism: 4 },
      /^\$argon2id\$v=19\$m=65536,t=3,p=4\$/,
    ],
  ])('%s', async (_, policy, form) => {
    const stored = await hashPassword('pässwörd', { policy })
    expect(stored).toMatch(form)
    expect(await verifyPassword('pässwörd', stored)).toBe(true)
    expect(await verifyPassword({ reveal: () => 'pässwörd' }, parsePasswordHash(stored))).toBe(true)
    expect(await verifyPassword('pässwörD', stored)).toBe(false)
    expect(needsRehash(stored, policy)).toBe(false)
  })

  test('two hashes of one password differ', async () => {
    const policy = { algorithm: 'argon2id' } as const
    expect(await hashPassword('x', { policy })).not.toBe(await hashPassword('x', { policy }))
  })

  test('passwords that are none', async () => {
    for (const password of ['', 'x'.repeat(1025), 'ü'.repeat(513), '\ud800']) {
      const error = await refusal('ERR_CRYPTO_PASSWORD_UNACCEPTABLE', async () => hashPassword(password))
      expect(error.family).toBe('authentication')
    }
    await refusal('ERR_CRYPTO_OPTION_INVALID', async () => hashPassword(undefined as never))
    await refusal('ERR_CRYPTO_OPTION_INVALID', async () => hashPassword(12_345_678 as never))
  })

  test('policies below the minimum, above the bound, or unknown', async () => {
    const bad: unknown[] = [
      { algorithm: 'argon2id', memoryKib: 7167, passes: 100 },
      { algorithm: 'argon2id', memoryKib: 19_456, passes: 1 },
      { algorithm: 'scrypt', costLog2: 12 },
      { algorithm: 'scrypt', costLog2: 14, parallelism: 1 },
      { algorithm: 'scrypt', costLog2: Number.NaN },
      { algorithm: 'scrypt', parallelism: 0 },
      { algorithm: 'bcrypt' },
      { algorithm: '' },
      {},
    ]
    for (const policy of bad) await refusal('ERR_CRYPTO_OPTION_INVALID', async () => hashPassword('x', { policy: policy as never }))
    for (const policy of [
      { algorithm: 'argon2id', memoryKib: 262_145 },
      { algorithm: 'argon2id', passes: 1000 },
      { algorithm: 'argon2id', parallelism: 17 },
      { algorithm: 'scrypt', costLog2: 20 },
    ] as const) {
      await refusal('ERR_CRYPTO_WORK_EXCESSIVE', async () => hashPassword('x', { policy }))
    }
    await refusal('ERR_CRYPTO_OPTION_UNKNOWN', async () => hashPassword('x', { policy: { algorithm: 'scrypt', memoryKib: 1 } as never }))
    await refusal('ERR_CRYPTO_OPTION_UNKNOWN', async () => hashPassword('x', { algorithm: 'argon2id' } as never))
  })
})

describe('verifyPassword with values of other makers', () => {
  test.each<[string, () => string | Promise<string>]>([
    ['scrypt of node:crypto', () => scrypt('secret', 10, 8, 1)],
    ['argon2id, raw', () => argon2('secret')],
    ['argon2id of its own library', async () => argon2Hash('secret', { memoryCost: 64, timeCost: 1 })],
    ['PBKDF2 with SHA-256', () => pbkdf2('secret', 'sha256', 1000)],
    ['PBKDF2 with SHA-512', () => pbkdf2('secret', 'sha512', 1000)],
    ['PBKDF2 with SHA-1', () => pbkdf2('secret', 'sha1', 1000)],
    ['bcrypt 2b', async () => bcryptHash('secret', { cost: 4 })],
    ['bcrypt 2a', async () => bcryptHash('secret', { cost: 4, version: '2a' })],
    ['bcrypt 2y', async () => bcryptHash('secret', { cost: 4, version: '2y' })],
    ['legacy SHA-256', () => '@sha256:{2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b}'],
  ])('%s', async (_, make) => {
    const stored = await make()
    expect(await verifyPassword('secret', stored)).toBe(true)
    expect(await verifyPassword('secrets', stored)).toBe(false)
    expect(await verifyPassword('Secret', stored)).toBe(false)
    expect(await verifyPassword('', stored)).toBe(false)
    expect(needsRehash(stored)).toBe(true)
  })

  test('known answers of published vectors', async () => {
    // passlib's documentation of scrypt, and of bcrypt.
    expect(
      await verifyPassword('password', '$scrypt$ln=16,r=8,p=1$aM15713r3Xsvxbi31lqr1Q$nFNh2CVHVjNldFVKDHDlm4CbdRSCdEBsjjJxD+iCs5E'),
    ).toBe(true)
    expect(await verifyPassword('password', '$2a$12$NT0I31Sa7ihGEWpka9ASYeEFkhuTNeBQ2xfZskIiiJeyFXhRgS.Sy')).toBe(true)
    // The test vectors of the argon2 reference implementation.
    expect(await verifyPassword('password', '$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4')).toBe(
      true,
    )
  })

  test('padded base64, as Ballerina writes it', async () => {
    const tag = pbkdf2Sync('secret', salt, 10_000, 32, 'sha256')
    const stored = `$pbkdf2-sha256$i=10000$${salt.toString('base64')}$${tag.toString('base64')}`
    expect(stored).toContain('==$')
    expect(await verifyPassword('secret', stored)).toBe(true)
    expect(await verifyPassword('secret', argon2('secret').replace(/\$([^$]+)$/, '$$$1='))).toBe(true)
  })

  test('bcrypt looks at the whole password, or at none', async () => {
    const long = 'x'.repeat(72)
    const stored = await bcryptHash(long, { cost: 4 })
    expect(await verifyPassword(long, stored)).toBe(true)
    expect(await verifyPassword(`${long}y`, stored)).toBe(false)
    expect(await verifyPassword('a\0b', await bcryptHash('a', { cost: 4 }))).toBe(false)
    expect(await verifyPassword('a\0b', await bcryptHash('a\0b', { cost: 4 }))).toBe(false)
  })

  test('passwords that are none match nothing', async () => {
    const stored = pbkdf2('', 'sha256', 1000)
    expect(await verifyPassword('', stored)).toBe(false)
    expect(await verifyPassword('\ud800', pbkdf2('\ufffd', 'sha256', 1000))).toBe(false)
    expect(await verifyPassword('x'.repeat(1025), pbkdf2('x'.repeat(1025), 'sha256', 1000))).toBe(false)
    await refusal('ERR_CRYPTO_OPTION_INVALID', async () => verifyPassword(undefined as never, stored))
  })
})

describe('parsePasswordHash', () => {
  const good = scrypt('secret', 10, 8, 1)

  test('what is in no known form, without showing it', async () => {
    const bad = [
      '',
      'secret',
      ` ${good}`,
      `${good} `,
      `${good}\n`,
      good.replace('scrypt', 'SCRYPT'),
      good.replace('ln=10', 'ln=010'),
      good.replace('ln=10', 'ln=0'),
      good.replace('ln=10', 'ln=-1'),
      good.replace('ln=10', 'ln=1e1'),
      good.replace('r=8', 'r=0'),
      good.replace('ln=10,r=8', 'r=8,ln=10'),
      `${good}$`,
      good.slice(0, good.lastIndexOf('$') + 1),
      `${good.slice(0, good.lastIndexOf('$') + 1)}AAAAAAAAAAA`,
      good.replace(b64(salt), 'AAAA'),
      good.replace(b64(salt), `${b64(salt).slice(0, -1)}x`),
      argon2('x').replace('v=19', 'v=16'),
      argon2('x').replace('argon2id', 'argon2i'),
      argon2('x').replace('p=1', 'p=9'),
      '$2x$04$abcdefghijklmnopqrstuuZ2q2q2q2q2q2q2q2q2q2q2q2q2q2q2q',
      '$2b$03$abcdefghijklmnopqrstuuZ2q2q2q2q2q2q2q2q2q2q2q2q2q2q2q',
      '$pbkdf2-md5$i=1000$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAA',
      pbkdf2('x', 'sha256', 1000).replace('i=1000', 'i=1000,l=31'),
      'x'.repeat(10_000),
      undefined,
      null,
      7,
    ]
    for (const stored of bad) {
      const error = await refusal('ERR_CRYPTO_PASSWORD_HASH_MALFORMED', () => parsePasswordHash(stored as never))
      if (typeof stored === 'string' && stored.length > 5) expect(inspect(error)).not.toContain(stored)
    }
    for (const stored of ['@sha256:{00}', '@sha256:{zz}', '@sha256:', `@sha384:{${'0'.repeat(64)}}`, `@sha256:{${'0'.repeat(64)}}x`]) {
      await refusal('ERR_CRYPTO_LEGACY_VALUE_MALFORMED', () => parsePasswordHash(stored))
    }
  })

  test('parameters that demand too much are refused before any work', async () => {
    const tail = '$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA'
    const bad = [
      `$argon2id$v=19$m=4194304,t=1,p=1${tail}`,
      `$argon2id$v=19$m=65536,t=4294967,p=1${tail}`,
      `$argon2id$v=19$m=65536,t=1,p=255${tail}`,
      `$scrypt$ln=30,r=8,p=1${tail}`,
      `$scrypt$ln=999999999,r=1,p=1${tail}`,
      `$scrypt$ln=14,r=8,p=1000000${tail}`,
      `$scrypt$ln=1,r=1000000000,p=1${tail}`,
      `$pbkdf2-sha256$i=999999999${tail}`,
      '$2b$31$abcdefghijklmnopqrstuuZ2q2q2q2q2q2q2q2q2q2q2q2q2q2q2q',
    ]
    for (const stored of bad) await refusal('ERR_CRYPTO_WORK_EXCESSIVE', async () => verifyPassword('x', stored))
  })
})

describe('needsRehash', () => {
  test.each<[string, PasswordPolicy, boolean]>([
    ['$scrypt$ln=14,r=8,p=5', defaultPasswordPolicy, false],
    ['$scrypt$ln=15,r=8,p=3', defaultPasswordPolicy, false],
    ['$scrypt$ln=17,r=8,p=1', defaultPasswordPolicy, false],
    ['$scrypt$ln=14,r=8,p=4', defaultPasswordPolicy, true],
    ['$scrypt$ln=13,r=8,p=10', defaultPasswordPolicy, true],
    ['$argon2id$v=19$m=65536,t=3,p=4', defaultPasswordPolicy, true],
    ['$argon2id$v=19$m=65536,t=3,p=4', { algorithm: 'argon2id' }, false],
    ['$argon2id$v=19$m=19456,t=1,p=1', { algorithm: 'argon2id' }, true],
    ['$scrypt$ln=17,r=8,p=1', { algorithm: 'argon2id' }, true],
  ])('%s', (start, policy, expected) => {
    const stored = `${start}$${b64(salt)}$${b64(Buffer.alloc(32))}`
    expect(needsRehash(stored, policy)).toBe(expected)
    expect(needsRehash(parsePasswordHash(stored), policy)).toBe(expected)
  })

  test('a short salt or tag', () => {
    expect(needsRehash(`$scrypt$ln=14,r=8,p=5$${b64(Buffer.alloc(8))}$${b64(Buffer.alloc(32))}`)).toBe(true)
    expect(needsRehash(`$scrypt$ln=14,r=8,p=5$${b64(salt)}$${b64(Buffer.alloc(16))}`)).toBe(true)
  })
})

describe('decoyPasswordHash', () => {
  test.each<[string, () => string | Promise<string>]>([
    ['scrypt', () => scrypt('secret', 10, 8, 1)],
    ['argon2id', () => argon2('secret')],
    ['PBKDF2', () => pbkdf2('secret', 'sha512', 1000)],
    ['bcrypt', async () => bcryptHash('secret', { cost: 5 })],
    ['a legacy digest', () => `@sha384:{${'0'.repeat(96)}}`],
  ])('%s: the same parameters, no password', async (_, make) => {
    const real = parsePasswordHash(await make())
    const decoy = decoyPasswordHash(real)
    const parameters = ({ salt: _salt, tag: _tag, text: _text, ...rest }: Record<string, unknown>) => rest
    expect(parameters(decoy)).toEqual(parameters(real))
    expect(decoy).not.toEqual(real)
    expect(await verifyPassword('secret', decoy)).toBe(false)
    if (decoy.scheme === 'bcrypt') {
      expect(parsePasswordHash(decoy.text)).toEqual(decoy)
      // The library does the work of this cost only for a text that it can read.
      const { parseOptions } = await import('@node-rs/bcrypt')
      expect(parseOptions(decoy.text).cost).toBe(5)
    }
  })
})

describe('bounds on the work', () => {
  test('hashing goes through the limiter that is named, with its source and signal', async () => {
    const limiter = hashingLimiter({ concurrency: 1, queue: 1, perSource: 1 })
    const stored = scrypt('secret', 10, 8, 1)
    const { promise, resolve } = Promise.withResolvers<void>()
    const blocker = limiter.run(async () => promise)
    const waiting = verifyPassword('secret', stored, { limiter, source: 'a' })
    await refusal('ERR_CRYPTO_HASHING_OVERLOADED', async () => verifyPassword('secret', stored, { limiter, source: 'b' }))
    await refusal('ERR_CRYPTO_HASHING_OVERLOADED', async () => hashPassword('secret', { limiter }))
    resolve()
    await blocker
    expect(await waiting).toBe(true)
    await expect(verifyPassword('secret', stored, { limiter, signal: AbortSignal.abort(new Error('gone')) })).rejects.toThrow('gone')
  })

  test('what needs no work waits for nobody', async () => {
    const limiter = hashingLimiter({ concurrency: 1, queue: 0 })
    const { promise, resolve } = Promise.withResolvers<void>()
    const blocker = limiter.run(async () => promise)
    expect(await verifyPassword('', scrypt('x', 10, 8, 1), { limiter })).toBe(false)
    expect(await verifyPassword('xxx', '@sha256:{cd2eb0837c9b4c962c22d2ff8b5441b7b45805887f051d39bf133b583baf6860}', { limiter })).toBe(
      true,
    )
    resolve()
    await blocker
  })

  test('misspelt options', async () => {
    await refusal('ERR_CRYPTO_OPTION_UNKNOWN', async () => verifyPassword('x', scrypt('x', 10, 8, 1), { limit: 1 } as never))
  })
})

describe('without the optional packages', () => {
  test('scrypt and PBKDF2 work, bcrypt says what to install, argon2id falls back to the runtime', () => {
    const folder = mkdtempSync(join(tmpdir(), 'portcullis-crypto-'))
    try {
      cpSync(import.meta.dirname, join(folder, 'src'), { recursive: true })
      const script = `
        const { verifyPassword } = await import(${JSON.stringify(join(folder, 'src', 'password.ts'))})
        const results = []
        for (const stored of process.argv.slice(1)) {
          results.push(await verifyPassword('secret', stored).catch((error) => error.code + ' ' + error.message))
        }
        process.stdout.write(JSON.stringify(results))`
      const bcrypt = '$2b$04$abcdefghijklmnopqrstuuZ2q2q2q2q2q2q2q2q2q2q2q2q2q2q2q'
      const stored = [scrypt('secret', 10, 8, 1), pbkdf2('secret', 'sha256', 1000), argon2('secret'), bcrypt]
      const output = execFileSync(process.execPath, ['--input-type=module', '--eval', script, ...stored])
      expect(JSON.parse(output.toString())).toEqual([
        true,
        true,
        'argon2' in crypto || 'ERR_CRYPTO_ALGORITHM_UNAVAILABLE argon2id needs the package @node-rs/argon2 to be installed.',
        'ERR_CRYPTO_ALGORITHM_UNAVAILABLE bcrypt needs the package @node-rs/bcrypt to be installed.',
      ])
    } finally {
      rmSync(folder, { recursive: true })
    }
  })
})
