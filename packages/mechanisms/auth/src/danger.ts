/**
 * Weakenings of `@portcullis/auth`. Whoever imports from here should be able to say why.
 */

/**
 * Lets a store take passwords that are written down as plain text: whoever reads the store has them all. For tests, and
 * for a file on its way to hashes.
 */
export const plainTextPasswords: unique symbol = Symbol.for('portcullis.auth.plainTextPasswords') as never
