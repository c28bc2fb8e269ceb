import { Secret } from '@portcullis/core'
import { anyServer } from '@portcullis/tls/danger'
import { AndFilter, EqualityFilter, type Filter } from 'ldapts'
import { describe, expect, it } from 'vitest'
import { escapeFilterValue, filterTemplate } from './filter.ts'
import { ldapUserStore } from './ldap-user-store.ts'
import { settingsOf, type LdapUserStoreOptions } from './options.ts'

const sound: LdapUserStoreOptions = {
  name: 'test',
  url: 'ldaps://directory.test',
  tls: { side: 'client' },
  searcher: { dn: 'cn=searcher,dc=test', password: 'x' },
  users: { bases: 'ou=users,dc=test' },
  groups: { bases: ['ou=groups,dc=test'] },
}

describe('the options of ldapUserStore', () => {
  it('have sound defaults', () => {
    const settings = settingsOf(sound)
    expect(settings).toMatchObject({
      address: { host: 'directory.test', port: 636, tls: 'ldaps' },
      connectTimeoutMs: 5_000,
      readTimeoutMs: 10_000,
      poolSize: 4,
      retries: 1,
      maxLogins: 16,
      maxWaiting: 64,
    })
    expect(settings.searcher.password).toBeInstanceOf(Secret)
    expect(settings.users.find('tom').toString()).toBe('(&(objectClass=inetOrgPerson)(uid=tom))')
    expect(settings.groups?.byMember('cn=tom').toString()).toBe('(&(objectClass=groupOfNames)(member=cn=tom))')
    expect(settings.groups?.byName('admin').toString()).toBe('(&(objectClass=groupOfNames)(cn=admin))')
  })

  it.each([
    ['ldaps://directory.test', { host: 'directory.test', port: 636, tls: 'ldaps' }],
    ['ldap://directory.test/', { host: 'directory.test', port: 389, tls: 'startTls' }],
    ['LDAPS://directory.test:1636', { host: 'directory.test', port: 1636, tls: 'ldaps' }],
    ['ldaps://[::1]:1636', { host: '::1', port: 1636, tls: 'ldaps' }],
  ])('read the url %s', (url, address) => {
    expect(settingsOf({ ...sound, url }).address).toEqual(address)
  })

  it.each<[string, object]>([
    ['no name', { name: undefined }],
    ['an empty name', { name: '' }],
    ['a url of another kind', { url: 'https://directory.test' }],
    ['a url that is none', { url: 'directory.test' }],
    ['a url with a base', { url: 'ldaps://directory.test/dc=test' }],
    ['a url with a password', { url: 'ldaps://cn:x@directory.test' }],
    ['a url without a host', { url: 'ldaps://' }],
    ['a misspelt key', { timeout: 5 }],
    ['no searcher', { searcher: undefined }],
    ['an anonymous searcher', { searcher: { dn: '', password: 'x' } }],
    ['a searcher without a password', { searcher: { dn: 'cn=searcher', password: '' } }],
    ['a searcher whose name is none', { searcher: { dn: 'EXTERNAL', password: 'x' } }],
    ['no bases', { users: { bases: [] } }],
    ['an empty base', { users: { bases: '' } }],
    ['a base that is no name', { users: { bases: 'users' } }],
    ['a search filter without a place for the name', { users: { bases: 'dc=test', searchFilter: '(uid=tom)' } }],
    ['a search filter that is none', { users: { bases: 'dc=test', searchFilter: '(uid=?' } }],
    ['an empty list filter', { users: { bases: 'dc=test', listFilter: '' } }],
    ['a list filter that is none', { users: { bases: 'dc=test', listFilter: '(uid' } }],
    ['an attribute that breaks out of its filter', { users: { bases: 'dc=test', nameAttribute: 'uid=*)(cn' } }],
    ['an empty attribute', { groups: { bases: 'dc=test', membershipAttribute: '' } }],
    ['a misspelt key below', { groups: { bases: 'dc=test', memberAttribute: 'member' } }],
    ['a memory of no time', { groups: { bases: 'dc=test', rememberForMs: 0 } }],
    ['no time to connect', { connectTimeoutMs: 0 }],
    ['all the time to read', { readTimeoutMs: Number.POSITIVE_INFINITY }],
    ['no connections', { poolSize: 0 }],
    ['a fraction of a retry', { retries: Number.NaN }],
    ['TLS of a server', { tls: { side: 'server' } }],
    ['no TLS', { tls: undefined }],
  ])('do not allow %s', async (_, wrong) => {
    await expect(ldapUserStore({ ...sound, ...wrong } as LdapUserStoreOptions)).rejects.toMatchObject({ family: 'configuration' })
  })

  it('take the weakening of TLS from where it is, and from nowhere else', async () => {
    await using store = await ldapUserStore({ ...sound, tls: { side: 'client', trust: anyServer } })
    expect(store.name).toBe('test')
    await expect(ldapUserStore({ ...sound, tls: { side: 'client', rejectUnauthorized: false } as never })).rejects.toMatchObject({
      code: 'ERR_OPTION_UNKNOWN',
    })
  })
})

describe('filters', () => {
  it('escape what has a meaning (RFC 4515 section 3)', () => {
    expect(escapeFilterValue('a*b(c)d\\e\0f é 😀')).toBe(String.raw`a\2ab\28c\29d\5ce\00f é 😀`)
  })

  const valuesIn = (filter: Filter): unknown[] =>
    filter instanceof AndFilter ? filter.filters.flatMap(valuesIn) : filter instanceof EqualityFilter ? [filter.value] : ['?']

  it.each(['tom', '*', '*)(uid=*', String.raw`\2a`, 'a)(|(b=c', '\0', 'ü?', ''])('keep %j a value', (value) => {
    expect(valuesIn(filterTemplate('test', '(&(a=?)(b=?))')(value))).toEqual([value, value])
  })
})
