/** What weakens a listener. A search for this specifier lists every place. */

/**
 * As `origins`: pages of every origin may open WebSockets. Only for endpoints whose credentials a browser does not add by
 * itself: never with cookies or client certificates (cross-site WebSocket hijacking).
 */
export const anyOrigin: unique symbol = Symbol.for('portcullis.graphql.anyOrigin') as never
