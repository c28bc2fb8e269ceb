import { basic } from '@portcullis/auth'
import { guard } from '@portcullis/core'
import { ldapUserStore, type LdapUserStoreOptions } from '@portcullis/ldap'
import { startSlapd, type Slapd } from '@portcullis/test-servers'
import { measure, oneByOne, perSecond, withSpread, type Variant } from '../measure.ts'
import type { RunOptions, Table } from '../table.ts'
import { login } from './requests.ts'

/** A login against OpenLDAP on this machine: search, bind on a connection of its own, groups. */
export async function run({ quick }: RunOptions): Promise<Table> {
  const slapd = await startSlapd()
  try {
    return await measureLogins(slapd, quick)
  } finally {
    await slapd[Symbol.asyncDispose]()
  }
}

async function measureLogins(slapd: Slapd, quick: boolean): Promise<Table> {
  const groups = { bases: `ou=groups,${slapd.suffix}` }
  const common = {
    name: 'bench',
    tls: { side: 'client', trust: { pem: slapd.pki.ca.certificate } },
    searcher: { dn: slapd.adminDn, password: slapd.adminPassword },
    users: { bases: `ou=users,${slapd.suffix}` },
  } as const
  const directories: readonly (readonly [string, LdapUserStoreOptions])[] = [
    ['ldaps', { ...common, url: slapd.ldapsUrl, groups }],
    ['ldaps, groups remembered', { ...common, url: slapd.ldapsUrl, groups: { ...groups, rememberForMs: 60_000 } }],
    ['ldap with StartTLS', { ...common, url: slapd.ldapUrl, groups }],
  ]
  await using stores = new AsyncDisposableStack()
  const variants: Variant[] = []
  for (const [name, options] of directories) {
    const store = await ldapUserStore(options)
    stores.defer(() => store.close())
    const service = guard({ authenticate: basic({ store, realm: 'bench' }) })
    variants.push(
      oneByOne(`${name}: login`, () => service.decide(login('alice', 'alice@123'))),
      oneByOne(`${name}: unknown`, () => service.decide(login('nobody', 'alice@123'))),
      oneByOne(`${name}: sixteen`, () =>
        Promise.all(Array.from({ length: 16 }, async (_, at) => service.decide(login('alice', 'alice@123', `192.0.2.${at}`)))),
      ),
    )
  }
  const measured = await measure(variants, { time: 'wall', rounds: quick ? 5 : 15, roundMs: quick ? 50 : 200 })
  return {
    title: 'LDAP login',
    note: 'Against slapd on the same machine and cores, median of interleaved rounds (± half the distance of the quartiles); most of it is the TLS handshake of the connection that each password gets.',
    columns: ['directory', 'login', 'unknown user', 'logins per second, 16 at once'],
    rows: directories.map(([name]) => [
      name,
      withSpread(measured.get(`${name}: login`)),
      withSpread(measured.get(`${name}: unknown`)),
      perSecond((measured.get(`${name}: sixteen`)?.median ?? Number.NaN) / 16),
    ]),
  }
}
