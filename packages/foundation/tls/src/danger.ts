/**
 * Ways to weaken TLS. Each is a symbol, so that none can arrive from data, and a search for this path lists every use.
 */

/**
 * As `hostName` of a client: takes a trusted server's certificate for any host. Whoever holds any certificate of the
 * same authorities can then stand in for the server.
 */
export const anyHostName: unique symbol = Symbol.for('portcullis.tls.anyHostName') as never

/**
 * As `trust` of a client: takes every certificate, so that anybody on the way can read and change everything.
 * Acceptable only to look at a server that is being set up, without credentials.
 */
export const anyServer: unique symbol = Symbol.for('portcullis.tls.anyServer') as never
