/**
 * Weakenings, each a symbol: it cannot come from JSON or an environment variable, and a search for `/danger` finds
 * every use. Other packages have a `/danger` of their own.
 */

/** Lets a listener or client speak, and send credentials, without TLS. For tests and closed networks at your own risk (D-11). */
export const plaintextChannel: unique symbol = Symbol.for('portcullis.danger.plaintextChannel') as never
