import { basic } from '@portcullis/auth'
import { guard } from '@portcullis/core'
import { ldapUserStore, type LdapUserStoreOptions } from '@portcullis/ldap'
import { startSlapd, type Slapd } from '@portcullis/test-servers'
import { medianMicroseconds, perSecond, readable } from './measure.ts'
import { login } from './requests.ts'

type Result = { title: string; note?: string; columns: string[]; rows: (string | number)[][] }

/** A login against OpenLDAP on this machine: search, bind on a connection of its own, groups. */
export async function run({ quick }: { quick: boolean }): Promise<Result> {
  const slapd = await startSlapd()
  try {
    return await measure(slapd, quick)
  } finally {
    await slapd[Symbol.asyncDispose]()
  }
}

async function measure(slapd: Slapd, quick: boolean): Promise<Result> {
  const groups = { bases: `ou=groups,${slapd.suffix}` }
  const common = {
    name: 'bench',
    tls: { side: 'client', trust: { pem: slapd.pki.ca.certificate } },
    searcher: { dn: slapd.adminDn, password: slapd.adminPassword },
    users: { bases: `ou=users,${slapd.suffix}` },
  } as const
  const variants: readonly (readonly [string, LdapUserStoreOptions])[] = [
    ['ldaps', { ...common, url: slapd.ldapsUrl, groups }],
    ['ldaps, groups remembered', { ...common, url: slapd.ldapsUrl, groups: { ...groups, rememberForMs: 60_000 } }],
    ['ldap with StartTLS', { ...common, url: slapd.ldapUrl, groups }],
  ]
  const rows: (string | number)[][] = []
  for (const [name, options] of variants) {
    const store = await ldapUserStore(options)
    const service = guard({ authenticate: basic({ store, realm: 'bench' }) })
    const time = quick ? 300 : 3_000
    const one = await medianMicroseconds(time, () => service.decide(login('alice', 'alice@123')))
    const sixteen = await medianMicroseconds(time, () =>
      Promise.all(Array.from({ length: 16 }, async (_, at) => service.decide(login('alice', 'alice@123', `192.0.2.${at}`)))),
    )
    const unknown = await medianMicroseconds(time, () => service.decide(login('nobody', 'alice@123')))
    await store.close()
    rows.push([name, readable(one), readable(unknown), perSecond(sixteen / 16)])
  }
  return {
    title: 'LDAP login',
    note: 'Median times against slapd on the same machine and cores; most of it is the TLS handshake of the connection that each password gets.',
    columns: ['directory', 'login', 'unknown user', 'logins per second, 16 at once'],
    rows,
  }
}
