/**
 * Ways to do without what this package is for. Each is a symbol, so that none can arrive from data, and a search for
 * this path lists every use.
 */

/** As `identity` of a producer: messages say nothing of who produced them. */
export const withoutIdentity: unique symbol = Symbol.for('portcullis.rabbitmq.withoutIdentity') as never

/** As `deadLetter` of a consumer: messages that are refused are acknowledged and gone; the audit trail alone knows of them. */
export const dropRefused: unique symbol = Symbol.for('portcullis.rabbitmq.dropRefused') as never
