import { basic } from '@portcullis/auth'
import { guard, scope } from '@portcullis/core'
import { ldapUserStore } from '@portcullis/ldap'
import type { Slapd } from '@portcullis/test-servers'

/** A guard for the users of a directory that are in its group "admin". */
export async function usersOfDirectory(directory: Slapd) {
  const store = await ldapUserStore({
    name: 'directory',
    url: directory.ldapsUrl,
    tls: { side: 'client', trust: { pem: directory.pki.ca.certificate } },
    searcher: { dn: directory.adminDn, password: directory.adminPassword },
    users: { bases: `ou=users,${directory.suffix}` },
    groups: { bases: `ou=groups,${directory.suffix}` },
  })
  const staff = guard({ authenticate: basic({ store, realm: 'orders' }), authorize: scope('admin') })
  return { staff, store }
}
