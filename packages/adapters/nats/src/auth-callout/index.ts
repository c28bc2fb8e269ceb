/**
 * `@portcullis/nats/auth-callout`: a guard as the authority of a NATS server (2.10 or newer). The server asks it about
 * each connection, and lets in whom the guard allows, until the principal ends.
 *
 * Not for servers in operator mode, and not for leaf nodes. It needs `@nats-io/jwt` and `@nats-io/nkeys`.
 */
export { authCallout } from './callout.ts'
export type { Admission, AuthCallout, AuthCalloutOptions } from './callout.ts'
