import { basic } from '@portcullis/auth'
import { guard, parseAuthorization, type AccessRequest, type Decision } from '@portcullis/core'
import { manualClock } from '@portcullis/core/testing'
import { developmentTls, type DevelopmentTls } from '@portcullis/tls/development'
import { afterEach, beforeAll, describe, expect, it } from 'vitest'
import { ldapUserStore, maxGroupsPerUser, type LdapUserStore } from './ldap-user-store.ts'
import type { LdapUserStoreOptions } from './options.ts'
import { answer, ScriptedDirectory, type Asked, type Reply } from './scripted-directory.test-support.ts'

const searcher = 'cn=searcher,dc=test'
const tom = 'uid=tom,ou=users,dc=test'
let tls: DevelopmentTls
const disposables: AsyncDisposable[] = []
beforeAll(async () => {
  tls = await developmentTls()
})
afterEach(async () => {
  for (const disposable of disposables.splice(0).toReversed()) await disposable[Symbol.asyncDispose]()
})

/** A sound directory with one user in one group, where `script` does not say otherwise. */
async function directory(script: (asked: Asked) => Reply | undefined, begins: 'ldaps' | 'ldap' = 'ldaps'): Promise<ScriptedDirectory> {
  const sound = ({ what, id, name, password }: Asked): Reply => {
    if (what === 'startTls') return answer.extended(id)
    if (what === 'bind')
      return answer.bind(id, (name === searcher && password === 'searching') || (name === tom && password === 'right') ? 0 : 49)
    if (what === 'search' && name.startsWith('ou=users')) return Buffer.concat([answer.entry(id, tom, 'uid', 'tom'), answer.done(id)])
    if (what === 'search') return Buffer.concat([answer.entry(id, 'cn=admin,ou=groups,dc=test', 'cn', 'admin'), answer.done(id)])
    return 'silence'
  }
  const made = await ScriptedDirectory.listen(tls.server, begins, (asked) => script(asked) ?? sound(asked))
  disposables.push(made)
  return made
}
async function storeOf({ port }: ScriptedDirectory, scheme = 'ldaps', changes: Partial<LdapUserStoreOptions> = {}): Promise<LdapUserStore> {
  const store = await ldapUserStore({
    name: 'test',
    url: `${scheme}://127.0.0.1:${port}`,
    tls: tls.client,
    searcher: { dn: searcher, password: 'searching' },
    users: { bases: 'ou=users,dc=test' },
    groups: { bases: 'ou=groups,dc=test' },
    readTimeoutMs: 5_000,
    connectTimeoutMs: 5_000,
    ...changes,
  })
  disposables.push(store)
  return store
}
async function login(store: LdapUserStore, password = 'right', username = 'tom'): Promise<Decision> {
  const credential = parseAuthorization(`Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`)
  const request: AccessRequest = {
    credentials: [credential],
    action: 'GET',
    resource: '/',
    attributes: {},
    channel: { from: 'peer', protocol: 'https', secure: true },
  }
  return guard({ authenticate: basic({ store, realm: 'test' }) }).decide(request)
}
const unavailable = (code: string): unknown => expect.objectContaining({ outcome: 'unavailable', reason: 'outage', code })
const isUserSearch = ({ what, name }: Asked): boolean => what === 'search' && name.startsWith('ou=users')
const isUserBind = ({ what, name }: Asked): boolean => what === 'bind' && name === tom

describe.each(['ldaps', 'ldap'] as const)('a directory on %s', (scheme) => {
  it('lets in whom it takes, and keeps the binds of users away from the searches', async () => {
    const served = await directory(() => undefined, scheme)
    const store = await storeOf(served, scheme)
    expect(await login(store)).toMatchObject({ outcome: 'allow', principal: { subject: 'tom' } })
    expect(await login(store, 'wrong')).toMatchObject({ outcome: 'challenge', code: 'ERR_USER_REFUSED' })
    const byConnection = Map.groupBy(
      served.asked.filter(({ what }) => what !== 'unbind' && what !== 'startTls'),
      ({ connection }) => connection,
    )
    expect([...byConnection.values()].map((asked) => asked.map(({ what, name }) => (what === 'bind' ? `bind ${name}` : what)))).toEqual([
      [`bind ${searcher}`, 'search', 'search', 'search'],
      [`bind ${tom}`],
      [`bind ${tom}`],
    ])
  })

  it('binds again as the searcher after a loss, before it searches', async () => {
    const served = await directory(() => undefined, scheme)
    const store = await storeOf(served, scheme)
    expect(await login(store)).toMatchObject({ outcome: 'allow' })
    served.drop()
    expect(await login(store)).toMatchObject({ outcome: 'allow' })
    const searched = new Set(served.asked.filter(({ what }) => what === 'search').map(({ connection }) => connection))
    expect(searched.size).toBe(2)
    for (const connection of searched) {
      const first = served.asked.find((asked) => asked.connection === connection && asked.what !== 'startTls')
      expect(first).toMatchObject({ what: 'bind', name: searcher, password: 'searching' })
    }
  })
})

describe('a faulty directory', () => {
  it.each<[string, (asked: Asked) => Reply | undefined, string]>([
    ['is silent when the searcher binds', ({ what }) => (what === 'bind' ? 'silence' : undefined), 'ERR_LDAP_TIMEOUT'],
    ['is silent when it is searched', ({ what }) => (what === 'search' ? 'silence' : undefined), 'ERR_LDAP_TIMEOUT'],
    ['is silent when the user binds', (asked) => (isUserBind(asked) ? 'silence' : undefined), 'ERR_LDAP_TIMEOUT'],
    ['begins an answer and stops', (asked) => (isUserBind(asked) ? answer.bind(asked.id).subarray(0, 5) : undefined), 'ERR_LDAP_TIMEOUT'],
    [
      'sends an entry and no end',
      (asked) => (isUserSearch(asked) ? answer.entry(asked.id, tom, 'uid', 'tom') : undefined),
      'ERR_LDAP_TIMEOUT',
    ],
    ['answers another bind', (asked) => (isUserBind(asked) ? answer.bind(asked.id + 1) : undefined), 'ERR_LDAP_PROTOCOL'],
    ['answers another search', (asked) => (isUserSearch(asked) ? answer.done(asked.id + 1) : undefined), 'ERR_LDAP_TIMEOUT'],
    [
      'says more than was asked',
      (asked) => (isUserBind(asked) ? Buffer.concat([answer.bind(asked.id), answer.bind(asked.id)]) : undefined),
      'ERR_LDAP_PROTOCOL',
    ],
    [
      'closes instead of answering a search',
      (asked) => (isUserSearch(asked) ? { thenEnd: Buffer.alloc(0) } : undefined),
      'ERR_LDAP_UNREACHABLE',
    ],
    [
      'closes in the middle of an answer',
      (asked) => (isUserSearch(asked) ? { thenEnd: answer.entry(asked.id, tom, 'uid', 'tom').subarray(0, 20) } : undefined),
      'ERR_LDAP_UNREACHABLE',
    ],
    [
      'closes after an entry',
      (asked) => (isUserSearch(asked) ? { thenEnd: answer.entry(asked.id, tom, 'uid', 'tom') } : undefined),
      'ERR_LDAP_UNREACHABLE',
    ],
    ['closes when the user binds', (asked) => (isUserBind(asked) ? { thenEnd: Buffer.alloc(0) } : undefined), 'ERR_LDAP_UNREACHABLE'],
    [
      'closes in the middle of agreeing to a bind',
      (asked) => (isUserBind(asked) ? { thenEnd: answer.bind(asked.id).subarray(0, -4) } : undefined),
      'ERR_LDAP_UNREACHABLE',
    ],
    ['refers the search elsewhere', (asked) => (isUserSearch(asked) ? answer.done(asked.id, 10) : undefined), 'ERR_LDAP_REFERRAL'],
    ['refers the bind elsewhere', (asked) => (isUserBind(asked) ? answer.bind(asked.id, 10) : undefined), 'ERR_LDAP_REFERRAL'],
    ['is busy', (asked) => (isUserBind(asked) ? answer.bind(asked.id, 51) : undefined), 'ERR_LDAP_PROTOCOL'],
    ['is going down', (asked) => (isUserSearch(asked) ? answer.done(asked.id, 52) : undefined), 'ERR_LDAP_PROTOCOL'],
    ['wants a stronger bind', (asked) => (isUserBind(asked) ? answer.bind(asked.id, 8) : undefined), 'ERR_LDAP_PROTOCOL'],
    ['wants another SASL step', (asked) => (isUserBind(asked) ? answer.bind(asked.id, 14) : undefined), 'ERR_LDAP_PROTOCOL'],
    ['answers a bind with a search result', (asked) => (isUserBind(asked) ? answer.done(asked.id, 1) : undefined), 'ERR_LDAP_PROTOCOL'],
    [
      'refuses the searcher',
      ({ what, id, name }) => (what === 'bind' && name === searcher ? answer.bind(id, 49) : undefined),
      'ERR_LDAP_SEARCHER_REFUSED',
    ],
    [
      'fails when the groups are searched',
      ({ what, id, name }) => (what === 'search' && name.startsWith('ou=groups') ? answer.done(id, 1) : undefined),
      'ERR_LDAP_PROTOCOL',
    ],
  ])('that %s ends in unavailable', async (_, script, code) => {
    const patience = code === 'ERR_LDAP_TIMEOUT' ? 150 : 5_000
    expect(await login(await storeOf(await directory(script), 'ldaps', { readTimeoutMs: patience }))).toEqual(unavailable(code))
  })

  it('that refuses the searcher is asked again in a minute, also where the clock was set back meanwhile', async () => {
    const clock = manualClock()
    let refusals = 0
    const asked = await directory(({ what, id, name }) =>
      what === 'bind' && name === searcher && refusals++ === 0 ? answer.bind(id, 49) : undefined,
    )
    const store = await storeOf(asked, 'ldaps', { clock })
    for (let times = 0; times < 2; times++) expect(await login(store)).toEqual(unavailable('ERR_LDAP_SEARCHER_REFUSED'))
    expect(refusals).toBe(1)
    clock.step(clock.now() - 3_600_000)
    await login(store)
    expect(refusals).toBe(2)
  })

  it.each<[string, Buffer]>([
    ['zeros', Buffer.alloc(64)],
    ['HTTP', Buffer.from('HTTP/1.1 400 Bad Request\r\n\r\n')],
    ['an element without end', Buffer.from([0x30, 0x84, 0x7f, 0xff, 0xff, 0xff, 0x02])],
    ['an indefinite length', Buffer.from([0x30, 0x80, 0x02, 0x01, 0x02, 0x61, 0x00, 0x00, 0x00])],
    ['a message without content', Buffer.from([0x30, 0x00])],
    ['a result without code', Buffer.from([0x30, 0x05, 0x02, 0x01, 0x02, 0x61, 0x00])],
  ])('that answers with %s never lets anybody in', async (_, garbage) => {
    for (const script of [isUserBind, isUserSearch, ({ what }: Asked) => what === 'bind']) {
      expect(
        (await login(await storeOf(await directory((asked) => (script(asked) ? garbage : undefined)), 'ldaps', { readTimeoutMs: 300 })))
          .outcome,
      ).toBe('unavailable')
    }
  })

  it.each<[string, (asked: Asked) => Reply | undefined]>([
    [
      'finds two entries, whatever was asked',
      (asked) =>
        isUserSearch(asked)
          ? Buffer.concat([
              answer.entry(asked.id, tom, 'uid', 'tom'),
              answer.entry(asked.id, 'uid=tom,ou=more,ou=users,dc=test', 'uid', 'tom'),
              answer.done(asked.id),
            ])
          : undefined,
    ],
    [
      'finds more than the limit',
      (asked) =>
        isUserSearch(asked)
          ? Buffer.concat([
              answer.entry(asked.id, tom, 'uid', 'tom'),
              answer.entry(asked.id, 'uid=tom,ou=more,dc=test', 'uid', 'tom'),
              answer.done(asked.id, 4),
            ])
          : undefined,
    ],
    ['finds nobody', (asked) => (isUserSearch(asked) ? answer.done(asked.id) : undefined)],
    [
      'knows only of another directory',
      (asked) =>
        isUserSearch(asked) ? Buffer.concat([answer.reference(asked.id, 'ldap://elsewhere.test/'), answer.done(asked.id)]) : undefined,
    ],
    [
      'finds an entry without the name',
      (asked) => (isUserSearch(asked) ? Buffer.concat([answer.entry(asked.id, tom, 'cn', 'tom'), answer.done(asked.id)]) : undefined),
    ],
    [
      'finds an entry with an empty name',
      (asked) => (isUserSearch(asked) ? Buffer.concat([answer.entry(asked.id, tom, 'uid', ''), answer.done(asked.id)]) : undefined),
    ],
    [
      'finds an entry with two other names',
      (asked) =>
        isUserSearch(asked) ? Buffer.concat([answer.entry(asked.id, tom, 'uid', 'ann', 'bob'), answer.done(asked.id)]) : undefined,
    ],
    ['has locked the account', (asked) => (isUserBind(asked) ? answer.bind(asked.id, 53) : undefined)],
    ['has lost the entry meanwhile', (asked) => (isUserBind(asked) ? answer.bind(asked.id, 32) : undefined)],
  ])('that %s refuses the user', async (_, script) => {
    expect(await login(await storeOf(await directory(script)))).toMatchObject({
      outcome: 'challenge',
      reason: 'invalid',
      code: 'ERR_USER_REFUSED',
    })
  })

  it('that sends megabytes ends in unavailable', async () => {
    const served = await directory((asked) =>
      isUserSearch(asked) ? answer.entry(asked.id, tom, 'uid', 'x'.repeat(5 * 1024 * 1024)) : undefined,
    )
    expect(await login(await storeOf(served, 'ldaps', { readTimeoutMs: 10_000 }))).toEqual(unavailable('ERR_LDAP_ANSWER_TOO_LARGE'))
  })

  it('is not believed about the empty entry, to which everybody could bind', async () => {
    const script = (asked: Asked): Reply | undefined => {
      if (isUserSearch(asked)) return Buffer.concat([answer.entry(asked.id, '', 'uid', 'tom'), answer.done(asked.id)])
      return asked.what === 'bind' && asked.name === '' ? answer.bind(asked.id) : undefined
    }
    expect(await login(await storeOf(await directory(script)))).toEqual(unavailable('ERR_LDAP_PROTOCOL'))
  })

  it('takes of several names the one that was presented', async () => {
    const script = (asked: Asked): Reply | undefined =>
      isUserSearch(asked) ? Buffer.concat([answer.entry(asked.id, tom, 'UID', 'thomas', 'Tom'), answer.done(asked.id)]) : undefined
    expect(await login(await storeOf(await directory(script)))).toMatchObject({ outcome: 'allow', principal: { subject: 'Tom' } })
  })

  it('reads a thousand groups, and refuses to read more', async () => {
    for (const [count, outcome] of [
      [maxGroupsPerUser, 'allow'],
      [maxGroupsPerUser + 1, 'unavailable'],
    ] as const) {
      const groups = (id: number): Buffer =>
        Buffer.concat([
          ...Array.from({ length: count }, (_, at) => answer.entry(id, `cn=g${at},ou=groups,dc=test`, 'cn', `g${at}`)),
          answer.done(id),
        ])
      const script = ({ what, id, name }: Asked): Reply | undefined =>
        what === 'search' && name.startsWith('ou=groups') ? groups(id) : undefined
      expect((await login(await storeOf(await directory(script), 'ldaps', { readTimeoutMs: 5_000 }))).outcome).toBe(outcome)
    }
  })

  it('is searched again after a loss as often as it was told, each time as the searcher, and the password of the user is never sent twice', async () => {
    const searches = await directory((asked) => (isUserSearch(asked) ? { thenEnd: Buffer.alloc(0) } : undefined))
    expect(await login(await storeOf(searches, 'ldaps', { retries: 2 }))).toEqual(unavailable('ERR_LDAP_UNREACHABLE'))
    expect(searches.asked.filter(isUserSearch)).toHaveLength(3)
    expect(searches.asked.filter(({ what, name }) => what === 'bind' && name === searcher)).toHaveLength(3)
    const binds = await directory((asked) => (isUserBind(asked) ? { thenEnd: Buffer.alloc(0) } : undefined))
    expect(await login(await storeOf(binds, 'ldaps', { retries: 5 }))).toEqual(unavailable('ERR_LDAP_UNREACHABLE'))
    expect(binds.asked.filter(isUserBind)).toHaveLength(1)
  })

  it('gets one bind for a user who does not exist, as for one who does, and never that password', async () => {
    const served = await directory((asked) => (isUserSearch(asked) ? answer.done(asked.id) : undefined))
    expect(await login(await storeOf(served), 'right')).toMatchObject({ outcome: 'challenge' })
    const [bind, ...more] = served.asked.filter(({ what, name }) => what === 'bind' && name !== searcher)
    expect(more).toEqual([])
    expect(bind?.password).not.toBe('right')
  })

  it('lets go of a login whose caller has gone', async () => {
    const served = await directory(({ what }) => (what === 'search' ? 'silence' : undefined))
    const store = await storeOf(served, 'ldaps', { readTimeoutMs: 300, poolSize: 1 })
    const gone = new AbortController()
    const context = { clock: { now: () => 0, schedule: () => ({ cancel: () => undefined }) }, remoteAddress: '192.0.2.1' }
    const credential = { username: 'tom', password: { reveal: () => 'right' } as never }
    const first = store.authenticate(credential, { ...context, signal: new AbortController().signal })
    const second = store.authenticate(credential, { ...context, signal: gone.signal })
    gone.abort(new Error('gone'))
    await expect(second).rejects.toThrow('gone')
    await expect(first).rejects.toMatchObject({ code: 'ERR_LDAP_TIMEOUT' })
  })
})

describe('StartTLS', () => {
  const injected = answer.bind(2)
  it.each<[string, (id: number) => Reply]>([
    ['refuses', (id) => answer.extended(id, 2)],
    ['answers another question', (id) => answer.extended(id + 1)],
    ['answers with the end of a bind', (id) => answer.bind(id)],
    ['sends more in the clear behind its answer', (id) => Buffer.concat([answer.extended(id), injected])],
    ['sends half a message behind its answer', (id) => Buffer.concat([answer.extended(id), injected.subarray(0, 4)])],
    ['speaks something else', () => Buffer.from('HTTP/1.1 400 Bad Request\r\n\r\n')],
    ['promises megabytes', () => Buffer.from([0x30, 0x84, 0x00, 0xff, 0xff, 0xff])],
  ])('gets no credential out of us where the directory %s', async (_, reply) => {
    const served = await directory(({ what, id }) => (what === 'startTls' ? reply(id) : undefined), 'ldap')
    expect(await login(await storeOf(served, 'ldap'))).toEqual(unavailable('ERR_LDAP_STARTTLS'))
    expect(served.asked.every(({ what }) => what === 'startTls')).toBe(true)
  })

  it.each([0, 6])('gets no credential out of us where the directory closes after %d bytes', async (bytes) => {
    const served = await directory(
      ({ what, id }) => (what === 'startTls' ? { thenEnd: answer.extended(id).subarray(0, bytes) } : undefined),
      'ldap',
    )
    expect(await login(await storeOf(served, 'ldap'))).toEqual(unavailable('ERR_LDAP_UNREACHABLE'))
    expect(served.asked.every(({ what }) => what === 'startTls')).toBe(true)
  })

  it('waits no longer than it was told', async () => {
    const served = await directory(({ what }) => (what === 'startTls' ? 'silence' : undefined), 'ldap')
    expect(await login(await storeOf(served, 'ldap', { connectTimeoutMs: 100, retries: 0 }))).toEqual(unavailable('ERR_LDAP_TIMEOUT'))
  })

  it('gets no credential out of us where the directory has another certificate', async () => {
    const served = await directory(() => undefined, 'ldap')
    expect(await login(await storeOf(served, 'ldap', { tls: (await developmentTls()).client }))).toEqual(
      unavailable('ERR_LDAP_UNREACHABLE'),
    )
    expect(served.asked.every(({ what }) => what === 'startTls')).toBe(true)
  })
})
