/**
 * What weakens `@portcullis/http`. Import nothing from here that a reviewer has not agreed to.
 */

/**
 * In place of `tls`: speak without encryption, so that everybody on the path reads every credential and answer, and can
 * change them. For a listener or a client that only a test reaches. Behind a proxy that ends the TLS use
 * `tlsTerminatedBy` instead. No source of credentials yields anything for a client like this.
 */
export const plaintextChannel: unique symbol = Symbol.for('portcullis.http.plaintextChannel') as never
