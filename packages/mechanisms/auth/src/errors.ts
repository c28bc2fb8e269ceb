/** The codes of the errors and refusals of `@portcullis/auth`, each with its meaning. */
export const authErrorCodes = {
  ERR_USER_REFUSED: 'The user name is not known to the store, or the password is not theirs; which of the two is for the log only.',
  ERR_USER_CREDENTIAL_MALFORMED: 'A user name or password is empty, too long, or holds characters that none may hold.',
  ERR_API_KEY_REFUSED: 'The key or static token is not one of those configured, or its time is over.',
  ERR_USER_STORE_UNREADABLE: 'The file of a user store cannot be read, or is larger than allowed.',
  ERR_USER_STORE_MALFORMED: 'The content of a user store is no valid TOML, or does not describe users.',
  ERR_USER_STORE_EMPTY: 'A user store holds no users at all.',
  ERR_USER_STORE_STALE: 'The file of a user store could not be read for longer than allowed, so that its last good users no longer count.',
  ERR_USER_STORE_FAULTY: 'A user store returned something that is neither a user nor a refusal.',
  ERR_USER_DUPLICATE: 'Two users of one store have the same name, or two keys are equal.',
  ERR_PASSWORD_VALUE_UNSUPPORTED: 'A stored password is in no form that this store reads.',
  ERR_PASSWORD_VALUE_PLAIN: 'A stored password is plain text, and the calling code did not allow that.',
  ERR_PASSWORD_VALUE_SECRET: 'A stored password is encrypted, and the secret to decrypt it is absent or wrong.',
  ERR_PASSWORD_VALUE_LEGACY: 'Warning: passwords are stored as unsalted digests, encrypted, or as plain text.',
  ERR_PASSWORD_REHASH: 'Warning: after a login, the new hash of a password could not be made or stored.',
} as const satisfies Record<`ERR_${string}`, string>

/** A code of an error or refusal of `@portcullis/auth`. */
export type AuthErrorCode = keyof typeof authErrorCodes
