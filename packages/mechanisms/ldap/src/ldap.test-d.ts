/** What must not compile. */
import { ldapUserStore } from './index.ts'

const searcher = { dn: 'cn=reader,dc=test', password: 'x' }
const users = { bases: 'ou=users,dc=test' }

// @ts-expect-error whom to trust is said, even where it is everybody's authorities
await ldapUserStore({ name: 'x', url: 'ldaps://directory.test', searcher, users })
// @ts-expect-error no boolean turns verification off
await ldapUserStore({ name: 'x', url: 'ldaps://directory.test', tls: { side: 'client', trust: false }, searcher, users })
// @ts-expect-error nobody searches as nobody
await ldapUserStore({ name: 'x', url: 'ldaps://directory.test', tls: { side: 'client' }, users })
// @ts-expect-error a misspelt option
await ldapUserStore({ name: 'x', url: 'ldaps://directory.test', tls: { side: 'client' }, searcher, users, retry: 1 })
