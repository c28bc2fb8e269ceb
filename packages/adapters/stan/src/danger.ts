/**
 * Ways to do without what this package is for. Each is a symbol, so that none can arrive from data, and a search for
 * this path lists every use.
 */

/** As `tls` of a client: nothing is encrypted, nobody is verified, and no credential is sent. For a server on the same machine. */
export const plaintext: unique symbol = Symbol.for('portcullis.stan.plaintext') as never

/** As `identity` of a producer: messages say nothing of who produced them. They have a frame all the same. */
export const withoutIdentity: unique symbol = Symbol.for('portcullis.stan.withoutIdentity') as never

/** As `deadLetter` of a consumer: messages that are refused are acknowledged and gone; the audit trail alone knows of them. */
export const dropRefused: unique symbol = Symbol.for('portcullis.stan.dropRefused') as never
