/** The codes of the errors and warnings of `@portcullis/ldap`, each with its meaning. */
export const ldapErrorCodes = {
  ERR_LDAP_UNREACHABLE: 'The directory cannot be reached, its certificate is not trusted, or the connection broke.',
  ERR_LDAP_TIMEOUT: 'The directory did not answer within the configured time.',
  ERR_LDAP_PROTOCOL: 'The directory answered something that is no LDAP, or with a result that settles nothing.',
  ERR_LDAP_STARTTLS: 'The directory refused StartTLS, or sent more than its answer before the handshake.',
  ERR_LDAP_REFERRAL: 'The directory referred to another one; referrals are not followed.',
  ERR_LDAP_SEARCHER_REFUSED: 'The directory refused the name or password of the searcher.',
  ERR_LDAP_ANSWER_TOO_LARGE: 'The directory answered with more than is read.',
  ERR_LDAP_OVERLOADED: 'More logins wait for the directory than the queue, or the share of this peer, has room for.',
  ERR_LDAP_USER_AMBIGUOUS: 'The search for a user found several entries, or one that does not tell a single name; the login was refused.',
  ERR_LDAP_CHECK: 'A check of the configuration found that the directory lacks an entry or group that it names.',
  ERR_LDAP_CLOSED: 'The store was closed.',
} as const satisfies Record<`ERR_LDAP_${string}`, string>

/** A code of an error or warning of `@portcullis/ldap`. */
export type LdapErrorCode = keyof typeof ldapErrorCodes
