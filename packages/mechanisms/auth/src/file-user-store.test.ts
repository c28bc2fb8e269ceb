import { guard, type Guard } from '@portcullis/core'
import { manualClock, type ManualClock } from '@portcullis/core/testing'
import { appendFileSync, mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, truncateSync, unlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { basic } from './basic.ts'
import { fileUserStore, type FileUserStore, type FileUserStoreOptions } from './file-user-store.ts'
import { collector, CountingLimiter, login, quickHash, until } from './stores.test-support.ts'

let directory: string
let file: string
let clock: ManualClock
let stores: FileUserStore[]
const hashes = { tom: quickHash('tom'), ann: quickHash('ann'), new: quickHash('new') }

const user = (name: string, password: string, scopes: readonly string[] = ['read']): string =>
  `[[users]]\nusername = "${name}"\npassword = "${password}"\nscopes = ${JSON.stringify(scopes)}\n`
const both = user('tom', hashes.tom, ['read', 'write']) + user('ann', hashes.ann)

beforeEach(() => {
  directory = mkdtempSync(path.join(tmpdir(), 'portcullis-users-'))
  file = path.join(directory, 'users.toml')
  clock = manualClock()
  stores = []
  writeFileSync(file, both)
})
afterEach(() => {
  for (const store of stores) store.close()
  rmSync(directory, { recursive: true })
})

function open(options: Partial<FileUserStoreOptions> = {}): { store: FileUserStore; service: Guard } {
  const store = fileUserStore({ name: 'staff', file, clock, ...options })
  stores.push(store)
  return { store, service: guard({ authenticate: basic({ store, realm: 'test' }), clock }) }
}
const replace = (text: string): void => {
  writeFileSync(`${file}.new`, text)
  renameSync(`${file}.new`, file)
}
/** Lets the store look twice, as often as needed, without the clock running far ahead of the file system. */
const looks = (condition: () => boolean | Promise<boolean>): Promise<void> =>
  until(async () => {
    clock.advance(500)
    await new Promise((resolve) => setImmediate(resolve))
    return condition()
  })
const outcome = async (service: Guard, name: string, password = name): Promise<string> => {
  const decision = await service.decide(login(name, password))
  return decision.outcome === 'allow' ? 'allow' : decision.reason
}

describe('fileUserStore', () => {
  it('proves the users of a file', async () => {
    const { service, store } = open()
    const decision = await service.decide(login('tom', 'tom'))
    expect(decision).toMatchObject({ outcome: 'allow', principal: { issuer: 'staff', subject: 'tom' } })
    expect(decision.outcome === 'allow' && decision.principal.kind === 'principal' && [...decision.principal.scopes]).toEqual([
      'read',
      'write',
    ])
    expect(await outcome(service, 'tom', 'wrong')).toBe('invalid')
    expect(await outcome(service, 'nobody', 'tom')).toBe('invalid')
    expect(store.status).toEqual({ users: 2 })
  })

  it.each([
    ['no file', () => unlinkSync(file), 'ERR_USER_STORE_UNREADABLE'],
    ['a folder in its place', () => (unlinkSync(file), mkdirSync(file)), 'ERR_USER_STORE_UNREADABLE'],
    ['an empty file', () => writeFileSync(file, ''), 'ERR_USER_STORE_EMPTY'],
    ['a broken file', () => appendFileSync(file, '[[users'), 'ERR_USER_STORE_MALFORMED'],
    ['a file that is no UTF-8', () => writeFileSync(file, Buffer.from([0x23, 0xff, 0x0a])), 'ERR_USER_STORE_MALFORMED'],
    ['a plain password', () => writeFileSync(file, user('tom', 'tom')), 'ERR_PASSWORD_VALUE_PLAIN'],
    ['a file beyond the limit', () => truncateSync(file, 65 * 1024 * 1024), 'ERR_USER_STORE_UNREADABLE'],
  ])('does not begin with %s', (_, spoil, code) => {
    spoil()
    expect(() => open()).toThrow(expect.objectContaining({ code, family: 'configuration' }))
  })

  it.each([
    { file: '' },
    { name: '' },
    { tables: [] },
    { checkEveryMs: 0 },
    { maxStaleMs: 0 },
    { maxStaleMs: Number.NaN },
    { reloadEvery: 5 },
  ])('does not build with %j', (wrong) => {
    expect(() => open(wrong)).toThrow(expect.objectContaining({ family: 'configuration' }))
  })

  it('spends one verification on a user who does not exist, as on one who does', async () => {
    const limiter = new CountingLimiter()
    const { service } = open({ limiter, believeForMs: 'never' })
    for (const [done, name] of ['nobody', 'tom', 'nobody', 'ann'].entries()) {
      await outcome(service, name, 'wrong')
      expect(limiter.count).toBe(done + 1)
    }
  })

  describe('when the file changes', () => {
    it.each([
      ['is replaced by renaming', replace],
      ['is written in place', (text: string) => writeFileSync(file, text)],
      [
        'is linked elsewhere',
        (text: string) => (
          writeFileSync(path.join(directory, 'other'), text),
          unlinkSync(file),
          symlinkSync(path.join(directory, 'other'), file)
        ),
      ],
    ])('takes the new users where it %s', async (_, change) => {
      const { service, store } = open()
      change(user('tom', hashes.new) + user('eve', hashes.ann))
      await looks(async () => (await outcome(service, 'tom', 'new')) === 'allow')
      expect(await outcome(service, 'tom', 'tom')).toBe('invalid')
      expect(await outcome(service, 'ann', 'ann')).toBe('invalid')
      expect(await outcome(service, 'eve', 'ann')).toBe('allow')
      expect(store.status).toEqual({ users: 2 })
    })

    it('reads at once when it is told to', async () => {
      const { service, store } = open()
      replace(user('ann', hashes.ann))
      await store.reload()
      expect(await outcome(service, 'tom')).toBe('invalid')
    })

    it('believes no remembered password of a user who is gone or changed', async () => {
      const { service, store } = open()
      expect(await outcome(service, 'tom')).toBe('allow')
      expect(await outcome(service, 'ann')).toBe('allow')
      replace(user('ann', hashes.new))
      await store.reload()
      expect(await outcome(service, 'tom')).toBe('invalid')
      expect(await outcome(service, 'ann')).toBe('invalid')
    })

    it('revokes exactly those who are gone, changed, or lost a scope', async () => {
      writeFileSync(file, both + user('bob', hashes.new) + user('eve', hashes.new, ['a', 'b']) + user('kim', hashes.new, ['a']))
      const { service, store } = open()
      const principals = await Promise.all(
        [['tom'], ['ann'], ['bob', 'new'], ['eve', 'new'], ['kim', 'new']].map(async ([name = '', password = name]) => {
          const decision = await service.decide(login(name, password))
          if (decision.outcome !== 'allow' || decision.principal.kind !== 'principal') throw new Error(name)
          return decision.principal
        }),
      )
      replace(user('ann', hashes.new) + user('bob', hashes.new) + user('eve', hashes.new, ['b']) + user('kim', hashes.new, ['a', 'more']))
      await store.reload()
      expect(principals.filter(({ revoked }) => revoked).map(({ subject }) => subject)).toEqual(['tom', 'ann', 'eve'])
    })

    it('tells every session, also where one of them fails to end', async () => {
      const { service, store } = open()
      const ended: string[] = []
      for (const name of ['tom', 'ann']) {
        const decision = await service.decide(login(name, name))
        if (decision.outcome !== 'allow' || decision.principal.kind !== 'principal') throw new Error(name)
        decision.principal.revocations[0]?.subscribe(() => {
          ended.push(name)
          throw new Error('a faulty session')
        })
      }
      replace(user('eve', hashes.new))
      await store.reload()
      expect(ended).toEqual(['tom', 'ann'])
    })

    it('refuses a login that was being verified while its user was removed', async () => {
      const limiter = new CountingLimiter()
      const { service, store } = open({ limiter })
      const before = Promise.withResolvers<void>()
      const busy = limiter.run(() => before.promise)
      const inside = service.decide(login('tom', 'tom'))
      expect(limiter.waiting).toBe(1)
      replace(user('ann', hashes.ann))
      await store.reload()
      before.resolve()
      await busy
      expect(await inside).toMatchObject({ outcome: 'challenge', code: 'ERR_PRINCIPAL_REVOKED' })
    })
  })

  describe('when the file cannot be used', () => {
    it.each([
      ['has vanished', () => unlinkSync(file), 'ERR_USER_STORE_UNREADABLE'],
      ['is empty', () => writeFileSync(file, ''), 'ERR_USER_STORE_EMPTY'],
      ['is half-written', () => writeFileSync(file, both.slice(0, -30)), 'ERR_USER_STORE_MALFORMED'],
      ['has a damaged hash', () => replace(user('tom', hashes.tom.slice(0, -30))), 'ERR_PASSWORD_VALUE_UNSUPPORTED'],
      ['has a plain password', () => replace(both + user('eve', 'eve')), 'ERR_PASSWORD_VALUE_PLAIN'],
      ['has a user twice', () => replace(both + both), 'ERR_USER_DUPLICATE'],
    ])('keeps the last good users where it %s, and is loud until it is mended', async (_, spoil, code) => {
      const { events, report } = collector()
      const { service, store } = open({ report })
      spoil()
      await looks(() => events.length > 0)
      expect(events).toEqual([expect.objectContaining({ type: 'storeFailing', code })])
      expect(store.status).toMatchObject({ users: 2, failingSince: expect.any(Date) as Date, failure: { code } })
      expect(await outcome(service, 'tom')).toBe('allow')

      clock.advance(60_000)
      await looks(() => events.length > 1)
      expect(events[1]).toMatchObject({ type: 'storeFailing', code })

      replace(user('ann', hashes.ann))
      await looks(() => events.some(({ type }) => type === 'storeRecovered'))
      expect(store.status).toEqual({ users: 1 })
      expect(await outcome(service, 'tom')).toBe('invalid')
      expect(await outcome(service, 'ann')).toBe('allow')
    })

    it('rejects a reload that was asked for, and does not read the same broken content again and again', async () => {
      const { events, report } = collector()
      const { store } = open({ report })
      writeFileSync(file, 'broken')
      await expect(store.reload()).rejects.toMatchObject({ code: 'ERR_USER_STORE_MALFORMED' })
      for (let look = 0; look < 20; look++) {
        clock.advance(500)
        await new Promise((resolve) => setTimeout(resolve, 2))
      }
      expect(events.filter(({ type }) => type === 'storeFailing')).toHaveLength(1)
    })

    it('lets nobody in any more when that has gone on for too long', async () => {
      const { store, service } = open({ maxStaleMs: 10_000 })
      unlinkSync(file)
      await expect(store.reload()).rejects.toMatchObject({ code: 'ERR_USER_STORE_UNREADABLE' })
      clock.step(clock.now() + 9_999)
      expect(await outcome(service, 'tom')).toBe('allow')
      clock.step(clock.now() + 1)
      expect(await service.decide(login('tom', 'tom'))).toMatchObject({
        outcome: 'unavailable',
        reason: 'outage',
        code: 'ERR_USER_STORE_STALE',
      })
      writeFileSync(file, both)
      await store.reload()
      expect(await outcome(service, 'tom')).toBe('allow')
    })

    it('survives a subscriber that throws', async () => {
      const { service } = open({
        report: () => {
          throw new Error('a faulty subscriber')
        },
      })
      unlinkSync(file)
      for (let look = 0; look < 5; look++) {
        clock.advance(500)
        await new Promise((resolve) => setTimeout(resolve, 2))
      }
      expect(await outcome(service, 'tom')).toBe('allow')
    })
  })

  it('stops looking when it is closed', async () => {
    const { store, service } = open()
    store.close()
    replace(user('ann', hashes.ann))
    for (let look = 0; look < 5; look++) {
      clock.advance(500)
      await new Promise((resolve) => setTimeout(resolve, 2))
    }
    expect(clock.pending).toBe(0)
    expect(await outcome(service, 'tom')).toBe('allow')
  })

  it('reads a hundred thousand users without holding up what else goes on', async () => {
    const { service, store } = open()
    replace(both + Array.from({ length: 100_000 }, (_, at) => user(`user${at}`, hashes.new)).join(''))
    let turns = 0
    let reloading = true
    const turn = (): void => {
      turns++
      if (reloading) setImmediate(turn)
    }
    turn()
    await store.reload()
    reloading = false
    expect(turns).toBeGreaterThan(200)
    expect(store.status).toEqual({ users: 100_002 })
    expect(await outcome(service, 'user99999', 'new')).toBe('allow')
  })
})
