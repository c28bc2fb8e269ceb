/**
 * Weakenings of `@portcullis/auth`. Whoever imports from here should be able to say why.
 */

/**
 * Lets a store take passwords that are written down as plain text, or encrypted with a secret that the process holds:
 * whoever reads the store has all passwords. For tests, and for a file that is being moved to hashes.
 */
export const plainTextPasswords: unique symbol = Symbol.for('portcullis.auth.plainTextPasswords') as never
