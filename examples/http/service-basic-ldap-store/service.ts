import { basic } from '@portcullis/auth'
import { guard, json, scope, serve } from '@portcullis/http'
import { developmentTls } from '@portcullis/http/development'
import { ldapUserStore } from '@portcullis/ldap'
import { startSlapd } from '@portcullis/test-servers'

/** A service, and the directory that it asks. */
export async function start() {
  const directory = await startSlapd()
  const store = await ldapUserStore({
    name: 'directory',
    url: directory.ldapsUrl,
    tls: { side: 'client', trust: { pem: directory.pki.ca.certificate } },
    searcher: { dn: directory.adminDn, password: directory.adminPassword },
    users: { bases: `ou=users,${directory.suffix}` },
    groups: { bases: `ou=groups,${directory.suffix}` },
  })
  const tls = await developmentTls()
  const staff = guard({ authenticate: basic({ store, realm: 'orders' }), authorize: scope('admin') })
  const server = await serve({ tls, port: 0, guard: staff }, (_request, principal) =>
    json({ hello: principal.subject, groups: [...principal.scopes] }),
  )
  const close = async (): Promise<void> => {
    await server.close()
    await store.close()
    await directory.stop()
  }
  return { tls, origin: server.origin, close }
}
