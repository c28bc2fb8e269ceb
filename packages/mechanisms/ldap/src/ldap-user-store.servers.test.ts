import { guard, parseAuthorization, secret, type AccessRequest, type Guard, type ReportedEvent } from '@portcullis/core'
import { basic } from '@portcullis/auth'
import { manualClock } from '@portcullis/core/testing'
import { createPki, startSlapd, type Slapd } from '@portcullis/test-servers'
import { tlsBundle } from '@portcullis/tls'
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { ldapUserStore, type LdapUserStore } from './ldap-user-store.ts'
import type { LdapUserStoreOptions } from './options.ts'

let slapd: Slapd
const stores: LdapUserStore[] = []
beforeAll(async () => {
  slapd = await startSlapd()
  const people = [
    ['star*', 'star@123'],
    ['back\\\\slash', 'back@123'],
    ['paren(s)', 'paren@123'],
    ['jürgen', 'jürgen@123'],
    ['comma, and "quote"', 'comma@123'],
  ]
  const base64 = (text: string): string => Buffer.from(text).toString('base64')
  for (const [uid = '', password = ''] of people) {
    const name = uid.replaceAll('\\\\', '\\')
    const rdn = name.replace(/[\\,"+<>;=]/g, (character) => `\\${character}`)
    await slapd.modify(
      `dn:: ${base64(`uid=${rdn},ou=users,${slapd.suffix}`)}\nobjectClass: inetOrgPerson\nuid:: ${base64(name)}\ncn: x\nsn: x\nuserPassword:: ${base64(password)}\n`,
    )
  }
  const dn = `uid=comma\\, and \\"quote\\",ou=users,${slapd.suffix}`
  await slapd.modify(
    `dn: cn=punctuation (all),ou=groups,${slapd.suffix}\nobjectClass: groupOfNames\ncn: punctuation (all)\nmember: ${dn}\n`,
  )
  await slapd.modify(`dn: uid=nopassword,ou=users,${slapd.suffix}\nobjectClass: inetOrgPerson\nuid: nopassword\ncn: x\nsn: x\n`)
})
afterAll(() => slapd[Symbol.asyncDispose]())
afterEach(async () => {
  for (const store of stores.splice(0)) await store.close()
})

function optionsWith(changes: Partial<LdapUserStoreOptions> = {}): LdapUserStoreOptions {
  return {
    name: 'avix.lk',
    url: slapd.ldapsUrl,
    tls: { side: 'client', trust: { pem: slapd.pki.ca.certificate } },
    searcher: { dn: slapd.adminDn, password: secret(slapd.adminPassword) },
    users: { bases: `ou=users,${slapd.suffix}` },
    groups: { bases: `ou=groups,${slapd.suffix}` },
    ...changes,
  }
}
async function openWith(options: LdapUserStoreOptions): Promise<{ store: LdapUserStore; service: Guard }> {
  const store = await ldapUserStore(options)
  stores.push(store)
  return { store, service: guard({ authenticate: basic({ store, realm: 'avix' }) }) }
}
const open = (changes: Partial<LdapUserStoreOptions> = {}): Promise<{ store: LdapUserStore; service: Guard }> =>
  openWith(optionsWith(changes))
function login(username: string, password: string): AccessRequest {
  const credential = parseAuthorization(`Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`)
  return {
    credentials: [credential],
    action: 'GET',
    resource: '/',
    attributes: {},
    channel: { from: 'peer', protocol: 'https', secure: true, remoteAddress: '192.0.2.7' },
  }
}
async function scopesOf(service: Guard, username: string, password: string): Promise<string[] | string> {
  const decision = await service.decide(login(username, password))
  if (decision.outcome !== 'allow') return decision.code
  return decision.principal.kind === 'principal' ? [...decision.principal.scopes].toSorted() : []
}

describe('ldapUserStore against OpenLDAP', () => {
  it('proves users, whose groups are their scopes', async () => {
    const { service } = await open()
    const decision = await service.decide(login('alice', 'alice@123'))
    expect(decision).toMatchObject({ outcome: 'allow', principal: { issuer: 'avix.lk', subject: 'alice' } })
    expect(await scopesOf(service, 'ldclakmal', 'ldclakmal@123')).toEqual(['admin', 'developer'])
    expect(await scopesOf(service, 'bob', 'bob@123')).toEqual([])
  })

  it('refuses wrong passwords, those of others, and users who do not exist, all alike', async () => {
    const { service } = await open()
    const attempts = [
      ['alice', 'wrong'],
      ['alice', 'bob@123'],
      ['alice', 'other-alice@123'],
      ['nobody', 'alice@123'],
      ['admin', slapd.adminPassword],
      ['paula', 'paula@123'],
    ]
    for (const [username = '', password = ''] of attempts) {
      expect(await service.decide(login(username, password))).toMatchObject({
        outcome: 'challenge',
        reason: 'invalid',
        code: 'ERR_USER_REFUSED',
      })
    }
  })

  it('never binds without a password, which a directory takes for the wish to be nobody', async () => {
    const { store, service } = await open()
    const context = { clock: manualClock(), signal: new AbortController().signal, remoteAddress: undefined }
    expect(await store.authenticate({ username: 'alice', password: secret('') }, context)).toBe('wrongPassword')
    expect(await store.authenticate({ username: '', password: secret('x') }, context)).toBe('unknownUser')
    expect((await service.decide(login('alice', ''))).outcome).toBe('challenge')
    expect(await scopesOf(service, 'nopassword', 'x')).toBe('ERR_USER_REFUSED')
  })

  it('begins TLS by StartTLS on ldap:// before it says anything else', async () => {
    const { service } = await open({ url: slapd.ldapUrl })
    expect(await scopesOf(service, 'alice', 'alice@123')).toContain('developer')
    expect(await scopesOf(service, 'alice', 'wrong')).toBe('ERR_USER_REFUSED')
  })

  it.each(['ldapsUrl', 'ldapUrl'] as const)('sends no credential to a directory that it does not trust (%s)', async (url) => {
    const seen: Buffer[] = []
    const relay = await relayTo(url === 'ldapsUrl' ? slapd.ldapsPort : slapd.ldapPort, (data) => seen.push(data))
    const scheme = url === 'ldapsUrl' ? 'ldaps' : 'ldap'
    const { service } = await open({
      url: `${scheme}://127.0.0.1:${relay.port}`,
      tls: { side: 'client', trust: { pem: createPki().ca.certificate } },
    })
    expect(await service.decide(login('alice', 'alice@123'))).toMatchObject({
      outcome: 'unavailable',
      reason: 'outage',
      code: 'ERR_LDAP_UNREACHABLE',
    })
    relay.close()
    const sent = Buffer.concat(seen).toString('latin1')
    expect(sent.length).toBeGreaterThan(0)
    expect(sent).not.toContain('admin')
    expect(sent).not.toContain(slapd.adminPassword)
  })

  it('takes a certificate for its name only', async () => {
    const { service } = await open({ url: slapd.ldapsUrl.replace('127.0.0.1', '127.0.0.2') })
    // slapd listens on 127.0.0.1 alone: a relay answers on the other address.
    const relay = await relayTo(slapd.ldapsPort, () => undefined, '127.0.0.2', slapd.ldapsPort)
    expect(await service.decide(login('alice', 'alice@123'))).toMatchObject({ outcome: 'unavailable', code: 'ERR_LDAP_UNREACHABLE' })
    relay.close()
  })

  it.each([
    ['star*', 'star@123'],
    ['back\\slash', 'back@123'],
    ['paren(s)', 'paren@123'],
    ['jürgen', 'jürgen@123'],
    ['comma, and "quote"', 'comma@123'],
  ])('finds the user %s', async (username, password) => {
    for (const users of [
      { bases: `ou=users,${slapd.suffix}` },
      { bases: `ou=users,${slapd.suffix}`, searchFilter: '(&(objectClass=inetOrgPerson)(uid=?))' },
    ]) {
      const { service } = await open({ users })
      expect(await service.decide(login(username, password))).toMatchObject({ outcome: 'allow', principal: { subject: username } })
    }
  })

  it('finds the groups of an entry whose name has to be escaped, and groups whose names do', async () => {
    const { service, store } = await open()
    expect(await scopesOf(service, 'comma, and "quote"', 'comma@123')).toEqual(['punctuation (all)'])
    await store.check({ groups: ['punctuation (all)'] })
  })

  it.each(['*', 'al*', '*)(uid=*', 'alice)(objectClass=*', '(|(uid=alice)(uid=bob))', 'alice\\00', '\\61lice', ')(|(uid=alice'])(
    'reads "%s" as a name and not as filter',
    async (username) => {
      for (const searchFilter of [undefined, '(uid=?)', '(|(uid=?)(mail=?))']) {
        const { service } = await open({
          users: { bases: `ou=users,${slapd.suffix}`, ...(searchFilter !== undefined && { searchFilter }) },
        })
        expect(await scopesOf(service, username, 'alice@123')).toBe('ERR_USER_REFUSED')
      }
    },
  )

  it('knows a user by the name that the directory writes, however it was typed', async () => {
    const { service } = await open()
    for (const typed of ['ALICE', 'Alice', ' alice ', 'alice']) {
      expect(await service.decide(login(typed, 'alice@123'))).toMatchObject({ outcome: 'allow', principal: { subject: 'alice' } })
    }
    const byMail = await open({ users: { bases: `ou=users,${slapd.suffix}`, searchFilter: '(mail=?)' } })
    expect(await byMail.service.decide(login('alice@users.avix.test', 'alice@123'))).toMatchObject({
      outcome: 'allow',
      principal: { subject: 'alice' },
    })
  })

  it('searches several bases, and refuses a user who is there twice', async () => {
    const events: ReportedEvent[] = []
    const { service } = await open({
      users: { bases: [`ou=users,${slapd.suffix}`, `ou=partners,${slapd.suffix}`] },
      report: (event) => void events.push(event),
    })
    expect(await service.decide(login('paula', 'paula@123'))).toMatchObject({ outcome: 'allow' })
    expect(await service.decide(login('bob', 'bob@123'))).toMatchObject({ outcome: 'allow' })
    for (const password of ['alice@123', 'other-alice@123']) expect(await scopesOf(service, 'alice', password)).toBe('ERR_USER_REFUSED')
    await new Promise((resolve) => setImmediate(resolve))
    expect(events).toHaveLength(2)
    expect(events[0]).toMatchObject({ type: 'warning', code: 'ERR_LDAP_USER_AMBIGUOUS' })
    const below = await open({ users: { bases: slapd.suffix } })
    expect(await scopesOf(below.service, 'alice', 'alice@123')).toBe('ERR_USER_REFUSED')
  })

  it('counts an entry once that lies below two bases', async () => {
    const { service } = await open({ users: { bases: [`ou=users,${slapd.suffix}`, `uid=alice,ou=users,${slapd.suffix}`] } })
    expect(await service.decide(login('alice', 'alice@123'))).toMatchObject({ outcome: 'allow' })
  })

  it('counts as users only those of the list filter', async () => {
    const { service } = await open({
      users: { bases: `ou=users,${slapd.suffix}`, listFilter: '(&(objectClass=inetOrgPerson)(!(uid=bob)))' },
    })
    expect(await service.decide(login('alice', 'alice@123'))).toMatchObject({ outcome: 'allow' })
    expect(await scopesOf(service, 'bob', 'bob@123')).toBe('ERR_USER_REFUSED')
  })

  it('reads POSIX groups, whose members are bare names', async () => {
    const { service } = await open({
      groups: { bases: `ou=posix,${slapd.suffix}`, objectClass: 'posixGroup', membershipAttribute: 'memberUid' },
    })
    expect(await scopesOf(service, 'bob', 'bob@123')).toEqual(['operators'])
    expect(await scopesOf(service, 'BOB', 'bob@123')).toEqual(['operators'])
    expect(await scopesOf(service, 'ldclakmal', 'ldclakmal@123')).toEqual([])
  })

  it('gives no scopes without groups, and those of the list filter only', async () => {
    const { groups: _, ...withoutGroups } = optionsWith()
    expect(await scopesOf((await openWith(withoutGroups)).service, 'ldclakmal', 'ldclakmal@123')).toEqual([])
    const filtered = await open({ groups: { bases: `ou=groups,${slapd.suffix}`, listFilter: '(cn=adm*)' } })
    expect(await scopesOf(filtered.service, 'ldclakmal', 'ldclakmal@123')).toEqual(['admin'])
  })

  it('remembers groups for as long as it is told, and no password', async () => {
    const member = `dn: cn=developer,ou=groups,${slapd.suffix}\nchangetype: modify\n`
    const bob = `uid=bob,ou=users,${slapd.suffix}`
    await slapd.modify(`${member}add: member\nmember: ${bob}\n`)
    const clock = manualClock()
    const remembering = await open({ groups: { bases: `ou=groups,${slapd.suffix}`, rememberForMs: 1000 }, clock })
    const plain = await open()
    expect(await scopesOf(remembering.service, 'bob', 'bob@123')).toEqual(['developer'])
    expect(await scopesOf(plain.service, 'bob', 'bob@123')).toEqual(['developer'])
    await slapd.modify(`${member}delete: member\nmember: ${bob}\n`)
    expect(await scopesOf(plain.service, 'bob', 'bob@123')).toEqual([])
    expect(await scopesOf(remembering.service, 'bob', 'bob@123')).toEqual(['developer'])
    expect(await scopesOf(remembering.service, 'bob', 'wrong')).toBe('ERR_USER_REFUSED')
    clock.advance(1000)
    expect(await scopesOf(remembering.service, 'bob', 'bob@123')).toEqual([])
  })

  it('sees a changed password at the next login', async () => {
    const { service } = await open()
    const dn = `uid=bob,ou=users,${slapd.suffix}`
    const change = (password: string): Promise<void> =>
      slapd.modify(`dn: ${dn}\nchangetype: modify\nreplace: userPassword\nuserPassword: ${password}\n`)
    expect(await service.decide(login('bob', 'bob@123'))).toMatchObject({ outcome: 'allow' })
    await change('changed')
    expect(await scopesOf(service, 'bob', 'bob@123')).toBe('ERR_USER_REFUSED')
    expect(await service.decide(login('bob', 'changed'))).toMatchObject({ outcome: 'allow' })
    await change('bob@123')
  })

  it('judges many logins at once, each by its own password', async () => {
    const { service } = await open({ poolSize: 2, maxLogins: 8, maxWaiting: 100 })
    const people = ['alice', 'bob', 'ldclakmal', 'nobody']
    const decisions = await Promise.all(
      Array.from({ length: 24 }, (_, at) => {
        const name = people[at % people.length] ?? ''
        const request = login(name, at % 3 === 0 ? 'wrong' : `${name}@123`)
        return service.decide({ ...request, channel: { ...request.channel, remoteAddress: `192.0.2.${at}` } as AccessRequest['channel'] })
      }),
    )
    decisions.forEach((decision, at) => {
      const name = people[at % people.length]
      if (name === 'nobody' || at % 3 === 0) expect(decision).toMatchObject({ outcome: 'challenge', code: 'ERR_USER_REFUSED' })
      else expect(decision).toMatchObject({ outcome: 'allow', principal: { subject: name } })
    })
  })

  it('answers overload to a peer that takes more than its share', async () => {
    const { service } = await open({ maxLogins: 2, maxWaiting: 6 })
    const decisions = await Promise.all(Array.from({ length: 5 }, () => service.decide(login('alice', 'alice@123'))))
    expect(decisions.map(({ outcome }) => outcome)).toEqual(['allow', 'allow', 'unavailable', 'unavailable', 'unavailable'])
    expect(decisions[4]).toMatchObject({ reason: 'overload', code: 'ERR_LDAP_OVERLOADED' })
    expect(await service.decide(login('alice', 'alice@123'))).toMatchObject({ outcome: 'allow' })
  })

  it('checks its configuration when it is asked to', async () => {
    const { store } = await open()
    await store.check({ groups: ['admin', 'developer'] })
    await expect(store.check({ groups: ['admins'] })).rejects.toMatchObject({ code: 'ERR_LDAP_CHECK', family: 'configuration' })
    await expect((await open({ users: { bases: 'ou=nowhere,dc=avix,dc=lk' } })).store.check()).rejects.toMatchObject({
      code: 'ERR_LDAP_CHECK',
    })
  })

  it('ends in unavailable where the searcher is refused, and does not hammer', async () => {
    const clock = manualClock()
    const { service } = await open({ searcher: { dn: slapd.adminDn, password: 'wrong' }, clock })
    const binds = (): number => slapd.log().split('BIND dn="cn=admin').length
    const before = binds()
    for (let attempt = 0; attempt < 5; attempt++) {
      expect(await service.decide(login('alice', 'alice@123'))).toMatchObject({
        outcome: 'unavailable',
        reason: 'outage',
        code: 'ERR_LDAP_SEARCHER_REFUSED',
      })
    }
    expect(binds() - before).toBeLessThanOrEqual(2)
    clock.advance(60_000)
    expect(await service.decide(login('alice', 'alice@123'))).toMatchObject({ code: 'ERR_LDAP_SEARCHER_REFUSED' })
  })

  it('ends in unavailable where a base does not exist', async () => {
    const { service } = await open({ users: { bases: 'ou=nowhere,dc=avix,dc=lk' } })
    expect(await service.decide(login('alice', 'alice@123'))).toMatchObject({ outcome: 'unavailable', code: 'ERR_LDAP_PROTOCOL' })
  })

  it('uses a bundle that stays its owner’s, and one of its own to the end', async () => {
    const bundle = await tlsBundle({ side: 'client', trust: { pem: slapd.pki.ca.certificate } })
    const { store, service } = await open({ tls: bundle })
    expect(await service.decide(login('alice', 'alice@123'))).toMatchObject({ outcome: 'allow' })
    await store.close()
    expect(await service.decide(login('alice', 'alice@123'))).toMatchObject({ outcome: 'unavailable', code: 'ERR_LDAP_CLOSED' })
    await bundle.reload()
    bundle.close()
  })

  it('ends in unavailable, within its bounds, where the directory hangs', async () => {
    const { service } = await open({ readTimeoutMs: 1_000, connectTimeoutMs: 1_000 })
    expect(await service.decide(login('alice', 'alice@123'))).toMatchObject({ outcome: 'allow' })
    slapd.pause()
    try {
      // Its threads stop one after another.
      let decision = await service.decide(login('alice', 'alice@123'))
      const until = Date.now() + 10_000
      while (decision.outcome === 'allow' && Date.now() < until) decision = await service.decide(login('alice', 'alice@123'))
      expect(decision).toMatchObject({ outcome: 'unavailable', reason: 'outage', code: 'ERR_LDAP_TIMEOUT' })
      const fresh = await open({ readTimeoutMs: 1_000, connectTimeoutMs: 1_000 })
      expect(await fresh.service.decide(login('alice', 'alice@123'))).toMatchObject({ outcome: 'unavailable', code: 'ERR_LDAP_TIMEOUT' })
    } finally {
      slapd.resume()
    }
    expect(await service.decide(login('alice', 'alice@123'))).toMatchObject({ outcome: 'allow' })
  })

  it('finds the directory again after an outage, bound as the searcher and not as nobody', async () => {
    const own = await startSlapd({ pki: slapd.pki })
    try {
      const { service } = await open({ url: own.ldapsUrl, searcher: { dn: own.adminDn, password: own.adminPassword } })
      const starttls = await open({ url: own.ldapUrl, searcher: { dn: own.adminDn, password: own.adminPassword } })
      for (const each of [service, starttls.service])
        expect(await scopesOf(each, 'ldclakmal', 'ldclakmal@123')).toEqual(['admin', 'developer'])
      await own.restart()
      for (const each of [service, starttls.service])
        expect(await scopesOf(each, 'ldclakmal', 'ldclakmal@123')).toEqual(['admin', 'developer'])
      await own.stop()
      for (const each of [service, starttls.service]) {
        expect(await each.decide(login('alice', 'alice@123'))).toMatchObject({
          outcome: 'unavailable',
          reason: 'outage',
          code: 'ERR_LDAP_UNREACHABLE',
        })
      }
      const late = await open({ url: own.ldapsUrl, searcher: { dn: own.adminDn, password: own.adminPassword } })
      expect(await late.service.decide(login('alice', 'alice@123'))).toMatchObject({ outcome: 'unavailable', reason: 'outage' })
      await own.restart()
      for (const each of [service, starttls.service, late.service])
        expect(await scopesOf(each, 'ldclakmal', 'ldclakmal@123')).toEqual(['admin', 'developer'])
    } finally {
      await own[Symbol.asyncDispose]()
    }
  })
})

/** A wire between a client and the directory that shows what the client sends. */
async function relayTo(
  port: number,
  see: (data: Buffer) => void,
  host = '127.0.0.1',
  listenOn = 0,
): Promise<{ port: number; close: () => void }> {
  const sockets = new Set<Socket>()
  const server: Server = createServer((near) => {
    const far = connect(port, '127.0.0.1')
    for (const socket of [near, far]) {
      sockets.add(socket)
      socket.on('error', () => undefined)
    }
    near.on('data', see)
    near.pipe(far).pipe(near)
  })
  await new Promise<void>((resolve) => server.listen(listenOn, host, resolve))
  return {
    port: (server.address() as AddressInfo).port,
    close: () => {
      server.close()
      for (const socket of sockets) socket.destroy()
    },
  }
}
