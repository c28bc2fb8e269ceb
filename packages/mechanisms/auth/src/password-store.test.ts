import { guard, Revocation, secret, UnavailableError, type Guard } from '@portcullis/core'
import { manualClock } from '@portcullis/core/testing'
import { hashingLimiter, parsePasswordHash } from '@portcullis/crypto'
import { createCipheriv, createHash, randomBytes } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { basic } from './basic.ts'
import { plainTextPasswords } from './danger.ts'
import { memoryUserStore } from './memory-user-store.ts'
import type { UserRecord } from './password-check.ts'
import { PasswordCheck, PasswordSurvey } from './password-check.ts'
import { passwordStore } from './password-store.ts'
import { collector, CountingLimiter, login, quickHash, until } from './stores.test-support.ts'
import type { UserStore } from './user-store.ts'

const clock = manualClock()
const guardOf = (store: UserStore): Guard => guard({ authenticate: basic({ store, realm: 'test' }), clock })
const refusedWith = (code: string): unknown => expect.objectContaining({ outcome: 'challenge', reason: 'invalid', code })
const tomHash = quickHash('correct')

describe('memoryUserStore', () => {
  it('proves its users and refuses wrong passwords and unknown users', async () => {
    const service = guardOf(memoryUserStore({ name: 'few', users: [{ username: 'tom', password: tomHash, scopes: ['read'] }], clock }))
    expect(await service.decide(login('tom', 'correct'))).toMatchObject({ outcome: 'allow', principal: { issuer: 'few', subject: 'tom' } })
    expect(await service.decide(login('tom', 'wrong'))).toEqual(refusedWith('ERR_USER_REFUSED'))
    for (const username of ['Tom', 'tom ', 'ann', '__proto__', 'constructor'])
      expect(await service.decide(login(username, 'correct'))).toEqual(refusedWith('ERR_USER_REFUSED'))
  })

  it('finds a user called __proto__', async () => {
    const service = guardOf(memoryUserStore({ name: 'few', users: [{ username: '__proto__', password: tomHash }], clock }))
    expect(await service.decide(login('__proto__', 'correct'))).toMatchObject({ outcome: 'allow' })
  })

  it.each([
    ['no users', { name: 'few', users: [] }, 'ERR_USER_STORE_EMPTY'],
    [
      'one user twice',
      {
        name: 'few',
        users: [
          { username: 'tom', password: tomHash },
          { username: 'tom', password: tomHash },
        ],
      },
      'ERR_USER_DUPLICATE',
    ],
    ['a colon in a user name', { name: 'few', users: [{ username: 'to:m', password: tomHash }] }, 'ERR_USER_STORE_MALFORMED'],
    ['an unknown field', { name: 'few', users: [{ username: 'tom', password: tomHash, scope: ['x'] }] }, 'ERR_USER_STORE_MALFORMED'],
    ['an empty scope', { name: 'few', users: [{ username: 'tom', password: tomHash, scopes: [''] }] }, 'ERR_USER_STORE_MALFORMED'],
    ['a damaged hash', { name: 'few', users: [{ username: 'tom', password: tomHash.slice(0, -30) }] }, 'ERR_PASSWORD_VALUE_UNSUPPORTED'],
    ['plain text', { name: 'few', users: [{ username: 'tom', password: 'correct' }] }, 'ERR_PASSWORD_VALUE_PLAIN'],
    [
      'an encrypted value without its secret',
      { name: 'few', users: [{ username: 'tom', password: '@encrypted:{AAAA}' }] },
      'ERR_PASSWORD_VALUE_SECRET',
    ],
    [
      'a way around the danger symbol',
      { name: 'few', users: [{ username: 'tom', password: 'correct' }], plainText: true },
      'ERR_OPTION_INVALID',
    ],
    ['a misspelt key', { name: 'few', user: [] }, 'ERR_OPTION_UNKNOWN'],
    ['a memory of no time', { name: 'few', users: [{ username: 'tom', password: tomHash }], believeForMs: 0 }, 'ERR_OPTION_INVALID'],
    [
      'a memory of more than a minute',
      { name: 'few', users: [{ username: 'tom', password: tomHash }], believeForMs: 60_001 },
      'ERR_OPTION_INVALID',
    ],
    [
      'a policy below the minimum',
      { name: 'few', users: [{ username: 'tom', password: tomHash }], policy: { algorithm: 'scrypt', costLog2: 4 } },
      'ERR_CRYPTO_OPTION_INVALID',
    ],
  ])('does not build with %s', (_, options, code) => {
    expect(() => memoryUserStore(options as never)).toThrow(expect.objectContaining({ code, family: 'configuration' }))
  })
})

describe('passwords that are stored in other forms', () => {
  const digestOf = (hash: string, text: string): string => `@${hash}:{${createHash(hash).update(text).digest('hex')}}`
  const key = secret('the old secret')
  const encrypted = (text: string): string => {
    const iv = randomBytes(16)
    const cipher = createCipheriv('aes-128-cbc', createHash('sha256').update(key.reveal()).digest().subarray(0, 16), iv)
    return `@encrypted:{${Buffer.concat([iv, cipher.update(text), cipher.final()]).toString('base64')}}`
  }

  it.each([
    ['legacy digest', digestOf('sha256', 'correct')],
    ['legacy digest', digestOf('sha384', 'correct')],
    ['legacy digest', digestOf('sha512', 'correct').replace(/[a-f0-9]{128}/, (hex) => hex.toUpperCase())],
    ['encrypted', encrypted('correct')],
    ['plain text', 'correct'],
  ])('reads a %s, with a warning', async (form, password) => {
    const { events, report } = collector()
    const store = memoryUserStore({
      name: 'old',
      users: [{ username: 'tom', password }],
      decryptionSecret: key,
      plainText: plainTextPasswords,
      report,
      clock,
    })
    expect(events).toEqual([])
    expect(await guardOf(store).decide(login('tom', 'correct'))).toMatchObject({ outcome: 'allow' })
    expect(await guardOf(store).decide(login('tom', 'wrong'))).toEqual(refusedWith('ERR_USER_REFUSED'))
    expect(await guardOf(store).decide(login('ann', 'correct'))).toEqual(refusedWith('ERR_USER_REFUSED'))
    await until(() => events.length > 0)
    expect(events).toEqual([
      expect.objectContaining({ type: 'warning', code: 'ERR_PASSWORD_VALUE_LEGACY', message: expect.stringContaining(form) as string }),
    ])
    expect(JSON.stringify(events)).not.toContain('correct')
  })

  it('never takes the text of a damaged value for the password', () => {
    for (const password of ['$scrypt$ln=4', '@sha256:{00}', '@SHA256:{00}', '@encrypted:{!}', '$argon2id$v=19$m=1']) {
      expect(() =>
        memoryUserStore({ name: 'old', users: [{ username: 'tom', password }], decryptionSecret: key, plainText: plainTextPasswords }),
      ).toThrow(expect.objectContaining({ code: 'ERR_PASSWORD_VALUE_UNSUPPORTED' }))
    }
  })

  it('finds out when it is made that the secret is wrong', () => {
    expect(() =>
      memoryUserStore({
        name: 'old',
        users: [{ username: 'tom', password: `@encrypted:{${randomBytes(32).toString('base64')}}` }],
        decryptionSecret: secret('another'),
      }),
    ).toThrow(expect.objectContaining({ code: 'ERR_PASSWORD_VALUE_SECRET' }))
  })
})

describe('passwordStore', () => {
  const table = new Map<string, UserRecord>([['tom', { username: 'tom', password: tomHash, scopes: ['read'], claims: { team: 'blue' } }]])
  const find = (username: string): UserRecord | undefined => table.get(username)

  it('makes a store of one look-up, which may wait', async () => {
    for (const lookup of [find, async (username: string) => find(username) ?? null]) {
      const service = guardOf(passwordStore({ name: 'db', find: lookup, clock }))
      expect(await service.decide(login('tom', 'correct'))).toMatchObject({
        outcome: 'allow',
        principal: { subject: 'tom', claims: { team: 'blue' } },
      })
      expect(await service.decide(login('tom', 'wrong'))).toEqual(refusedWith('ERR_USER_REFUSED'))
      expect(await service.decide(login('ann', 'correct'))).toEqual(refusedWith('ERR_USER_REFUSED'))
    }
  })

  it('hands out no stored value', async () => {
    const user = await passwordStore({ name: 'db', find, clock }).authenticate(
      { username: 'tom', password: secret('correct') },
      { clock, signal: new AbortController().signal, remoteAddress: undefined },
    )
    expect(JSON.stringify(user)).not.toContain('scrypt')
  })

  it('spends one verification on everybody: who is known, who is not, and who comes first', async () => {
    for (const username of ['ann', 'tom']) {
      const limiter = new CountingLimiter()
      const service = guardOf(passwordStore({ name: 'db', find, limiter, believeForMs: 'never', clock }))
      for (const [done, name] of [username, 'tom', 'ann', 'tom', 'ann'].entries()) {
        await service.decide(login(name, 'wrong'))
        expect(limiter.count).toBe(done + 1)
      }
    }
  })

  it('imitates the most frequent parameters of a store, or those of the user before', () => {
    const check = new PasswordCheck('few', {})
    const survey = new PasswordSurvey(check)
    for (const [at, password] of [quickHash('a', 5), quickHash('b', 6), quickHash('c', 6), `@sha256:{${'0'.repeat(64)}}`].entries())
      survey.add({ username: `user${at}`, password })
    const like = check.read({ username: 'b', password: quickHash('b', 6) })
    expect(survey.decoy().cost).toBe(like.cost)
    expect(like.decoy().cost).toBe(like.cost)
    expect(like.cost).not.toBe(check.read({ username: 'a', password: quickHash('b', 5) }).cost)
  })

  it('ends in unavailable where the look-up fails or returns nonsense', async () => {
    const down = guardOf(passwordStore({ name: 'db', find: () => Promise.reject(new UnavailableError('ERR_TIMEOUT', 'down')), clock }))
    expect(await down.decide(login('tom', 'correct'))).toMatchObject({ outcome: 'unavailable', reason: 'outage' })
    for (const found of [true, 'tom', {}, { username: 'tom' }, { password: tomHash }, []]) {
      expect(await guardOf(passwordStore({ name: 'db', find: () => found as never, clock })).decide(login('tom', 'correct'))).toMatchObject(
        { outcome: 'unavailable', reason: 'internal' },
      )
    }
    expect(
      await guardOf(passwordStore({ name: 'db', find: () => ({ username: 'tom', password: 'correct' }), clock })).decide(
        login('tom', 'correct'),
      ),
    ).toMatchObject({ outcome: 'unavailable', reason: 'internal' })
  })

  describe('the memory for verified passwords', () => {
    it('spares the second verification, within a minute and not beyond', async () => {
      const own = manualClock()
      const limiter = new CountingLimiter()
      const service = guardOf(passwordStore({ name: 'db', find, limiter, clock: own }))
      await service.decide(login('tom', 'correct'))
      own.advance(59_999)
      expect(await service.decide(login('tom', 'correct'))).toMatchObject({ outcome: 'allow' })
      expect(limiter.count).toBe(1)
      own.advance(1)
      expect(await service.decide(login('tom', 'correct'))).toMatchObject({ outcome: 'allow' })
      expect(limiter.count).toBe(2)
    })

    it('remembers no failure, and no other password or user', async () => {
      const limiter = new CountingLimiter()
      const both = new Map([...table, ['tomcorrect', { username: 'tomcorrect', password: tomHash }]])
      const service = guardOf(passwordStore({ name: 'db', find: (name) => both.get(name), limiter, clock }))
      await service.decide(login('tom', 'correct'))
      expect(await service.decide(login('tom', 'wrong'))).toEqual(refusedWith('ERR_USER_REFUSED'))
      expect(await service.decide(login('tom', 'wrong'))).toEqual(refusedWith('ERR_USER_REFUSED'))
      await service.decide(login('tomcorrect', 'correct'))
      expect(limiter.count).toBe(4)
    })

    it('does not outlive a change of the stored value, the removal of the user, or a scope', async () => {
      const rows = new Map(table)
      const service = guardOf(passwordStore({ name: 'db', find: (name) => rows.get(name), clock }))
      expect(await service.decide(login('tom', 'correct'))).toMatchObject({ outcome: 'allow' })
      rows.set('tom', { username: 'tom', password: tomHash, scopes: ['other'] })
      const changed = await service.decide(login('tom', 'correct'))
      expect(changed.outcome === 'allow' && changed.principal.kind === 'principal' && [...changed.principal.scopes]).toEqual(['other'])
      rows.set('tom', { username: 'tom', password: quickHash('new') })
      expect(await service.decide(login('tom', 'correct'))).toEqual(refusedWith('ERR_USER_REFUSED'))
      expect(await service.decide(login('tom', 'new'))).toMatchObject({ outcome: 'allow' })
      rows.delete('tom')
      expect(await service.decide(login('tom', 'new'))).toEqual(refusedWith('ERR_USER_REFUSED'))
    })

    it('can be turned off', async () => {
      const limiter = new CountingLimiter()
      const service = guardOf(passwordStore({ name: 'db', find, limiter, believeForMs: 'never', clock }))
      await service.decide(login('tom', 'correct'))
      await service.decide(login('tom', 'correct'))
      expect(limiter.count).toBe(2)
    })
  })

  describe('the bounds', () => {
    it('answers overload where the queue is full, and goes on afterwards', async () => {
      const limiter = hashingLimiter({ concurrency: 1, queue: 1, perSource: 2 })
      const service = guardOf(passwordStore({ name: 'db', find, limiter, clock }))
      const decisions = await Promise.all(
        ['192.0.2.1', '192.0.2.2', '192.0.2.3'].map((address) => service.decide(login('tom', 'wrong', address))),
      )
      expect(decisions.map(({ outcome }) => outcome).toSorted()).toEqual(['challenge', 'challenge', 'unavailable'])
      expect(decisions.find(({ outcome }) => outcome === 'unavailable')).toMatchObject({
        reason: 'overload',
        retryAfterMs: expect.any(Number) as number,
      })
      expect(await service.decide(login('tom', 'correct'))).toMatchObject({ outcome: 'allow' })
    })

    it('leaves room for others where one peer fills its share', async () => {
      const limiter = hashingLimiter({ concurrency: 1, queue: 10, perSource: 2 })
      const service = guardOf(passwordStore({ name: 'db', find, limiter, clock }))
      const greedy = ['2001:db8::1', '2001:db8:0:0:1::', '2001:db8::ffff:1:2', '2001:0db8::3'].map((address) =>
        service.decide(login('ann', 'x', address)),
      )
      const other = service.decide(login('tom', 'correct', '2001:db8:0:1::1'))
      expect((await Promise.all(greedy)).map(({ outcome }) => outcome)).toEqual(['challenge', 'challenge', 'unavailable', 'unavailable'])
      expect(await other).toMatchObject({ outcome: 'allow' })
    })
  })

  describe('the rehash hook', () => {
    const policy = { algorithm: 'scrypt', costLog2: 13, parallelism: 10 } as const

    it('hears of a weaker value after a login, with one to store, once', async () => {
      const rows = new Map(table)
      const heard: string[] = []
      const rehash = (username: string, password: string): void => {
        heard.push(username)
        rows.set(username, { username, password })
      }
      const service = guardOf(passwordStore({ name: 'db', find: (name) => rows.get(name), rehash, policy, believeForMs: 'never', clock }))
      await service.decide(login('tom', 'wrong'))
      await service.decide(login('ann', 'wrong'))
      expect(heard).toEqual([])
      expect(await service.decide(login('tom', 'correct'))).toMatchObject({ outcome: 'allow' })
      await until(() => heard.length === 1)
      expect(parsePasswordHash(rows.get('tom')?.password ?? '')).toMatchObject({ scheme: 'scrypt', costLog2: 13, parallelism: 10 })
      expect(await service.decide(login('tom', 'correct'))).toMatchObject({ outcome: 'allow' })
      await new Promise((resolve) => setTimeout(resolve, 50))
      expect(heard).toEqual(['tom'])
    })

    it('may fail without failing the login', async () => {
      const { events, report } = collector()
      const service = guardOf(
        passwordStore({ name: 'db', find, rehash: () => Promise.reject(new Error('read-only')), policy, report, clock }),
      )
      expect(await service.decide(login('tom', 'correct'))).toMatchObject({ outcome: 'allow' })
      await until(() => events.length === 1)
      expect(events).toEqual([expect.objectContaining({ type: 'warning', code: 'ERR_PASSWORD_REHASH' })])
    })
  })

  it('ends sessions through the revocation that a look-up hands out', async () => {
    const revocation = new Revocation()
    const service = guardOf(passwordStore({ name: 'db', find: () => ({ username: 'tom', password: tomHash, revocation }), clock }))
    const decision = await service.decide(login('tom', 'correct'))
    revocation.revoke('left')
    expect(decision).toMatchObject({ principal: { revoked: true } })
    expect(await service.decide(login('tom', 'correct'))).toMatchObject({ outcome: 'challenge', code: 'ERR_PRINCIPAL_REVOKED' })
  })
})
