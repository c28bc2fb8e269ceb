/**
 * `@portcullis/ldap`: users of an LDAP directory (OpenLDAP, Active Directory and kin) as a user store for `basic` of
 * `@portcullis/auth`: the directory checks the password, and the groups become scopes.
 *
 * Not for reading or changing directories, and not where an identity provider stands before the directory: then take
 * its tokens with `@portcullis/jwt` or `@portcullis/oauth2`, and no service sees passwords.
 */
export { ldapUserStore, maxGroupsPerUser } from './ldap-user-store.ts'
export type { LdapUserStore } from './ldap-user-store.ts'
export type { GroupSearch, LdapUserStoreOptions, UserSearch } from './options.ts'
export { escapeFilterValue } from './filter.ts'
export { ldapErrorCodes } from './errors.ts'
export type { LdapErrorCode } from './errors.ts'
