import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Ran, runForeign } from './foreign.ts'
import { createPki } from './pki.ts'
import { isListening } from './ports.ts'
import { type Slapd, startSlapd } from './slapd.ts'

let slapd: Slapd
beforeAll(async () => {
  slapd = await startSlapd()
})
afterAll(() => slapd[Symbol.asyncDispose]())

const search = (
  user: string,
  password: string,
  how: string[] = ['-H', slapd.ldapsUrl],
  ca = slapd.pki.ca.certificateFile,
): Promise<Ran> => {
  const dn = slapd.users[user]?.dn ?? user
  const env = { LDAPTLS_CACERT: ca }
  return runForeign(
    'ldap-utils',
    'ldapsearch',
    ['-LLL', '-x', ...how, '-D', dn, '-w', password, '-b', slapd.suffix, '(uid=ldclakmal)', 'memberOf'],
    { env },
  )
}

test('over LDAPS the right password reads the groups and a wrong one is refused', async () => {
  const good = await search('alice', 'alice@123')
  expect(good.output).toContain('memberOf: cn=admin,ou=groups,dc=avix,dc=lk')
  expect(good.output).toContain('memberOf: cn=developer,ou=groups,dc=avix,dc=lk')
  expect((await search('alice', 'wrong')).status).toBe(49)
  // The same user name below the other base has its own password.
  expect((await search('partners/alice', 'alice@123')).status).toBe(49)
  expect((await search('partners/alice', 'other-alice@123')).status).toBe(0)
})

test('a bind in the clear is refused, the same after StartTLS is not', async () => {
  const clear = await search('alice', 'alice@123', ['-H', slapd.ldapUrl])
  expect([clear.status, clear.said]).toEqual([13, expect.stringContaining('onfidentiality required')])
  expect((await search('alice', 'alice@123', ['-ZZ', '-H', slapd.ldapUrl])).status).toBe(0)
})

test('a client that trusts another authority does not connect', async () => {
  expect((await search('alice', 'alice@123', ['-H', slapd.ldapsUrl], createPki().ca.certificateFile)).status).not.toBe(0)
})

test('a client certificate is a bind name (SASL EXTERNAL)', async () => {
  const alice = slapd.pki.issue({ name: 'alice' })
  const env = { LDAPTLS_CACERT: slapd.pki.ca.certificateFile, LDAPTLS_CERT: alice.certificateFile, LDAPTLS_KEY: alice.keyFile }
  const who = await runForeign('ldap-utils', 'ldapwhoami', ['-H', slapd.ldapsUrl, '-Y', 'EXTERNAL', '-Q'], { env })
  expect(who.output.trim()).toBe('dn:uid=alice,ou=users,dc=avix,dc=lk')
})

test('an outage on demand: gone, and the same again', async () => {
  const unit = await slapd.namespace()
  await slapd.stop()
  expect(await isListening(slapd.ldapsPort)).toBe(false)
  expect((await search('alice', 'alice@123')).status).not.toBe(0)
  await slapd.restart()
  const found = await runForeign(
    'ldap-utils',
    'ldapsearch',
    ['-LLL', '-x', '-H', slapd.ldapsUrl, '-D', slapd.adminDn, '-w', slapd.adminPassword, '-b', unit],
    {
      env: { LDAPTLS_CACERT: slapd.pki.ca.certificateFile },
    },
  )
  expect(found.output).toContain(unit)
})
