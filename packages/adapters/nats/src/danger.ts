/**
 * Ways to do without what this package is for. Each is a symbol, so that none can arrive from data, and a search for
 * this path lists every use.
 */

/** As `identity` of a producer or publisher: messages say nothing of who produced them. */
export const withoutIdentity: unique symbol = Symbol.for('portcullis.nats.withoutIdentity') as never

/** As `deadLetter` of a consumer or subscriber: messages that are refused are acknowledged and gone; the audit trail alone knows of them. */
export const dropRefused: unique symbol = Symbol.for('portcullis.nats.dropRefused') as never

/** As `replies` of a publisher: whoever may answer on the subject is believed. */
export const anyReply: unique symbol = Symbol.for('portcullis.nats.anyReply') as never
