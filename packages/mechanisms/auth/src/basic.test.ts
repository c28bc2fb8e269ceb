import {
  guard,
  parseAuthorization,
  Revocation,
  scope,
  secret,
  UnavailableError,
  type AccessRequest,
  type Credential,
} from '@portcullis/core'
import { manualClock } from '@portcullis/core/testing'
import { describe, expect, it } from 'vitest'
import { basic } from './basic.ts'
import { maxPasswordBytes, maxUsernameLength, userStore, type User, type UserRefusal, type UserStore } from './user-store.ts'

const clock = manualClock()

function requestWith(...credentials: readonly Credential[]): AccessRequest {
  return {
    credentials,
    action: 'GET',
    resource: '/orders',
    attributes: {},
    channel: { from: 'peer', protocol: 'https', secure: true, remoteAddress: '192.0.2.7' },
  }
}
function header(username: string, password: string, scheme = 'Basic'): AccessRequest {
  return requestWith(parseAuthorization(`${scheme} ${Buffer.from(`${username}:${password}`).toString('base64')}`))
}
function presented(username: string, password: string): AccessRequest {
  return requestWith({ kind: 'basic', carrier: 'authorization', username, password: secret(password) })
}

const people: Record<string, { password: string; user: User }> = {
  tom: { password: 'a:b:c', user: { username: 'tom', scopes: ['read'], claims: { team: 'blue' } } },
  'jürgen@example.com': { password: 'pässwörd €', user: { username: 'jürgen@example.com' } },
}
const store = userStore('people', ({ username, password }) => {
  const person = Object.hasOwn(people, username) ? people[username] : undefined
  if (person === undefined) return 'unknownUser'
  return password.equals(person.password) ? person.user : 'wrongPassword'
})
const service = guard({ authenticate: basic({ store, realm: 'orders' }), authorize: scope('read'), clock })
const anybody = guard({ authenticate: basic({ store, realm: 'orders' }), clock })

describe('basic', () => {
  it('proves a user, whose password may contain colons', async () => {
    const decision = await service.decide(header('tom', 'a:b:c'))
    if (decision.outcome !== 'allow') throw new Error(decision.code)
    expect(decision.principal).toMatchObject({ issuer: 'people', subject: 'tom', claims: { team: 'blue' } })
    expect([...(decision.principal.kind === 'principal' ? decision.principal.scopes : [])]).toEqual(['read'])
    expect(decision.principal).toHaveProperty('authenticatedAt', new Date(clock.now()))
  })

  it.each(['basic', 'BASIC', 'bAsIc'])('takes the scheme name "%s"', async (scheme) => {
    expect(await service.decide(header('tom', 'a:b:c', scheme))).toMatchObject({ outcome: 'allow' })
  })

  it('reads names and passwords as UTF-8', async () => {
    expect(await anybody.decide(header('jürgen@example.com', 'pässwörd €'))).toMatchObject({ outcome: 'allow' })
    const latin1 = requestWith(parseAuthorization(`Basic ${Buffer.from('jürgen@example.com:pässwörd', 'latin1').toString('base64')}`))
    expect(await anybody.decide(latin1)).toMatchObject({ outcome: 'challenge', reason: 'malformed' })
  })

  it('forbids what the user has no scope for', async () => {
    expect(await service.decide(header('jürgen@example.com', 'pässwörd €'))).toMatchObject({
      outcome: 'forbid',
      reason: 'insufficientScope',
    })
  })

  it('offers the Basic scheme with realm and charset', async () => {
    expect(await service.decide(requestWith())).toMatchObject({
      outcome: 'challenge',
      reason: 'missing',
      offers: [{ scheme: 'Basic', parameters: { realm: 'orders', charset: 'UTF-8' } }],
    })
  })

  it('refuses an unknown user and a wrong password with one code, told apart in the explanation only', async () => {
    const unknown = await service.decide(header('nobody', 'a:b:c'))
    const wrong = await service.decide(header('tom', 'a:b:d'))
    for (const decision of [unknown, wrong])
      expect(decision).toMatchObject({ outcome: 'challenge', reason: 'invalid', code: 'ERR_USER_REFUSED' })
    expect(unknown.explain().leaves[0]?.cause).toBe('no such user')
    expect(wrong.explain().leaves[0]?.cause).toBe('wrong password')
  })

  it.each([
    ['a bearer token', 'Bearer abc'],
    ['an unknown scheme', 'Negotiate abc'],
  ])('does not judge %s', async (_, value) => {
    expect((await service.decide(requestWith(parseAuthorization(value)))).outcome).toBe('challenge')
  })

  it.each([
    ['an empty user name', ':secret'],
    ['no colon', 'tom'],
    ['nothing', ''],
    ['a line feed in the name', 'to\nm:x'],
    ['a NUL in the password', 'tom:\0'],
  ])('refuses %s in the header as malformed', async (_, text) => {
    expect(await service.decide(requestWith(parseAuthorization(`Basic ${Buffer.from(text).toString('base64')}`)))).toMatchObject({
      outcome: 'challenge',
      reason: 'malformed',
    })
  })

  it.each([
    ['an empty user name', '', 'x'],
    ['an empty password', 'tom', ''],
    ['a control character in the name', 'tom\u0085', 'x'],
    ['a control character in the password', 'tom', 'x\u001b'],
    ['a lone surrogate in the name', 'tom\ud800', 'x'],
    ['a lone surrogate in the password', 'tom', '\udfff'],
    ['a name that is too long', 'x'.repeat(maxUsernameLength + 1), 'x'],
    ['a password that is too long', 'tom', '€'.repeat(maxPasswordBytes / 3 + 1)],
  ])('refuses %s, whatever protocol it came by, before the store sees it', async (_, username, password) => {
    const never: UserStore = {
      name: 'never',
      authenticate: () => {
        throw new Error('was asked')
      },
    }
    const decision = await guard({ authenticate: basic({ store: never, realm: 'x' }), clock }).decide(presented(username, password))
    expect(decision).toMatchObject({ outcome: 'challenge', reason: 'malformed', code: 'ERR_USER_CREDENTIAL_MALFORMED' })
  })

  it('takes a name and a password of exactly the greatest length', async () => {
    const username = 'x'.repeat(maxUsernameLength)
    const any = basic({ store: userStore('any', (credential) => ({ username: credential.username })), realm: 'x' })
    expect(await guard({ authenticate: any, clock }).decide(presented(username, 'y'.repeat(maxPasswordBytes)))).toMatchObject({
      outcome: 'allow',
    })
  })

  it('ends in unavailable when the store is down', async () => {
    const down = userStore('down', () => Promise.reject(new UnavailableError('ERR_TIMEOUT', 'The database does not answer.')))
    expect(await guard({ authenticate: basic({ store: down, realm: 'x' }), clock }).decide(presented('tom', 'x'))).toMatchObject({
      outcome: 'unavailable',
      reason: 'outage',
      code: 'ERR_TIMEOUT',
    })
  })

  it.each([
    undefined,
    null,
    true,
    'yes',
    '',
    0,
    {},
    { username: '' },
    { username: 7 },
    { username: 'tom', scopes: 'admin' },
    [],
    'toString',
    ...[undefined, null, '', 0, new Date(Number.NaN), '2030-01-01T00:00:00Z'].map((expiresAt) => ({ username: 'alice', expiresAt })),
    ...[undefined, null, false, {}].map((revocation) => ({ username: 'alice', revocation })),
  ])('never allows what is neither a user nor a refusal: %j', async (value) => {
    for (const faulty of [() => value, () => Promise.resolve(value)]) {
      const authenticate = basic({ store: userStore('faulty', faulty as () => UserRefusal), realm: 'x' })
      expect(await guard({ authenticate, clock }).decide(presented('tom', 'x'))).toMatchObject({
        outcome: 'unavailable',
        reason: 'internal',
      })
    }
  })

  it('awaits thenables that are no promises', async () => {
    // oxlint-disable-next-line unicorn/no-thenable
    const thenable = { then: (resolve: (user: User) => void) => resolve({ username: 'tom' }) } as unknown as Promise<User>
    expect(
      await guard({ authenticate: basic({ store: userStore('thenable', () => thenable), realm: 'x' }), clock }).decide(
        presented('tom', 'x'),
      ),
    ).toMatchObject({ outcome: 'allow' })
  })

  it('hands the store the clock, the address and a signal, and ties the principal to the revocation and the end of the account', async () => {
    const revocation = new Revocation()
    const expiresAt = new Date(clock.now() + 1000)
    const seen: unknown[] = []
    const accounts = userStore('accounts', (_, context) => {
      seen.push(context.clock, context.remoteAddress, context.signal.aborted)
      return { username: 'tom', revocation, expiresAt }
    })
    const accountGuard = guard({ authenticate: basic({ store: accounts, realm: 'x' }), clock })
    const decision = await accountGuard.decide(presented('tom', 'x'))
    expect(seen).toEqual([clock, '192.0.2.7', false])
    expect(decision).toMatchObject({ outcome: 'allow', principal: { expiresAtMs: expiresAt.getTime(), revoked: false } })
    revocation.revoke('the account was removed')
    expect(decision).toMatchObject({ principal: { revoked: true } })
    expect(await accountGuard.decide(presented('tom', 'x'))).toMatchObject({ outcome: 'challenge' })
  })

  it('keeps equal names of two stores apart', async () => {
    const one = await guard({ authenticate: basic({ store: userStore('one', () => ({ username: 'tom' })), realm: 'x' }), clock }).decide(
      presented('tom', 'x'),
    )
    const two = await guard({ authenticate: basic({ store: userStore('two', () => ({ username: 'tom' })), realm: 'x' }), clock }).decide(
      presented('tom', 'x'),
    )
    expect(one).toMatchObject({ principal: { issuer: 'one', subject: 'tom' } })
    expect(two).toMatchObject({ principal: { issuer: 'two', subject: 'tom' } })
  })

  it.each([
    ['a misspelt key', { store, relm: 'x' }],
    ['no realm', { store }],
    ['an empty realm', { store, realm: ' ' }],
    ['a realm that breaks out of its line', { store, realm: 'x\r\nSet-Cookie: a' }],
    ['no store', { realm: 'x' }],
    ['a store without a name', { store: { name: '', authenticate: () => 'unknownUser' }, realm: 'x' }],
    ['a store without its method', { store: { name: 'x' }, realm: 'x' }],
  ])('does not build with %s', (_, options) => {
    expect(() => basic(options as never)).toThrow(expect.objectContaining({ family: 'configuration' }))
  })
})
