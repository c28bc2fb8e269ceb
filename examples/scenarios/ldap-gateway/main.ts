/**
 * A gateway for the people of a directory: it asks the directory for each password, takes the groups as scopes, and
 * calls the services behind it over mutual TLS. Customers are in a group; others are not.
 */
import { basic, basicCredentials } from '@portcullis/auth'
import { client, guard, json, scope, serve } from '@portcullis/http'
import { developmentTls } from '@portcullis/http/development'
import { ldapUserStore } from '@portcullis/ldap'
import { startSlapd } from '@portcullis/test-servers'
import { clientCertificate } from '@portcullis/tls'
import { show } from '../../show.ts'

const directory = await startSlapd()
const store = await ldapUserStore({
  name: 'directory',
  url: directory.ldapsUrl,
  tls: { side: 'client', trust: { pem: directory.pki.ca.certificate } },
  searcher: { dn: directory.adminDn, password: directory.adminPassword },
  users: { bases: `ou=users,${directory.suffix}` },
  groups: { bases: `ou=groups,${directory.suffix}` },
})
const tls = await developmentTls({ clientCertificates: 'accept' })

// Behind the gateway: nobody but the gateway.
const behind = guard({
  authenticate: clientCertificate({ tls: tls.server, issuers: { development: { by: 'commonName', principals: { gateway: [] } } } }),
})
await using inventory = await serve({ tls, port: 0, guard: behind }, () => json(['Apple']))

// The gateway: developers may read.
const developers = guard({ authenticate: basic({ store, realm: 'shop' }), authorize: scope('developer') })
const onwards = await client({ tls: await tls.clientFor('gateway') })
await using gateway = await serve({ tls, port: 0, guard: developers }, async () => json(await (await onwards(inventory.origin)).json()))

const status = async (username: string, password: string): Promise<number> => {
  using call = await client({ tls: tls.client, credentials: basicCredentials({ username, password, targets: [gateway.origin] }) })
  return (await call(gateway.origin)).status
}
using nobody = await client({ tls: tls.client })
show('alice, a developer', await status('alice', 'alice@123'), 200)
show('ldclakmal, a developer and administrator', await status('ldclakmal', 'ldclakmal@123'), 200)
show('bob, who is in no such group', await status('bob', 'bob@123'), 403)
show('eve, who is in no directory', await status('eve', 'eve@123'), 401)
show('alice with a wrong password', await status('alice', 'guess'), 401)
show('nobody', (await nobody(gateway.origin)).status, 401)
show('the inventory, past the gateway', (await nobody(inventory.origin)).status, 403)

await directory.stop()
show('alice, while the directory is down', await status('alice', 'alice@123'), 503)
onwards.close()
await store.close()
