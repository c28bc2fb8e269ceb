import { AuthenticationError, ConfigurationError } from '@portcullis/core'

/** The codes of the errors of `@portcullis/tls`, each with its meaning. */
export const tlsErrorCodes = {
  ERR_TLS_MATERIAL: 'A key pair or trust store cannot be used; nothing was made. The reason says why.',
  ERR_TLS_RELOAD: 'A reload found a key pair or trust store that cannot be used; the last good ones stay in use. The reason says why.',
  ERR_TLS_BUNDLE_CLOSED: 'The bundle was closed and cannot be reloaded.',
  ERR_TLS_HANDSHAKE: 'A handshake failed before the certificates could be judged, or the peer gave up.',
  ERR_TLS_HANDSHAKE_TIMEOUT: 'A handshake took longer than its bound.',
  ERR_TLS_CONNECT: 'A connection could not be opened.',
  ERR_TLS_ALPN: 'The server chose none of the application protocols that were offered.',
  ERR_TLS_HOST_NAME: 'The certificate of the server does not hold the name that was asked for.',
  ERR_TLS_SERVER_UNTRUSTED:
    'The certificate of the server ends in no trust anchor of this client, or a certificate on the way does not hold.',
  ERR_TLS_PEER_MISSING: 'A client certificate is required, and none was presented.',
  ERR_TLS_PEER_UNTRUSTED: 'The client certificate ends in no trust anchor of this bundle, or a certificate on the way does not hold.',
  ERR_TLS_PEER_OUT_OF_DATE: 'The client certificate is expired or not yet valid.',
  ERR_TLS_PEER_USAGE: 'The client certificate is not meant for client authentication (RFC 5280 section 4.2.1.12).',
  ERR_TLS_PEER_AMBIGUOUS:
    'The client certificate can end in trust anchors of two names, or in too many ways, so it does not tell whose name it holds.',
  ERR_TLS_PEER_CHAIN_HIDDEN:
    'The runtime does not tell the intermediate certificates that a client sent, and the trust store holds several anchors and not these intermediates.',
  ERR_TLS_PEER_GONE: 'The connection ended before its certificate was looked at.',
  ERR_TLS_PEER_MALFORMED: 'The client certificate was verified and cannot be decoded strictly.',
  ERR_TLS_PEER_NAME_AMBIGUOUS: 'The client certificate holds two names that a rule knows, so it does not tell who its holder is.',
  ERR_TLS_PEER_UNKNOWN: 'The client certificate is sound, and no rule names it.',
} as const satisfies Record<`ERR_TLS_${string}`, string>

/** A code of an error of `@portcullis/tls`. */
export type TlsErrorCode = keyof typeof tlsErrorCodes

/** The codes with which a peer's certificate is refused. */
export type PeerRefusalCode = Extract<TlsErrorCode, `ERR_TLS_PEER_${string}`>

/**
 * Why a key pair or trust store cannot be used.
 *
 * - `unreadable`: a file is missing or cannot be read.
 * - `malformed`: it cannot be decoded, its password is wrong, or the key is too weak.
 * - `mismatch`: key and certificate do not belong together, as in a half-written pair.
 * - `outOfDate`: expired or not yet valid.
 * - `usage`: the certificate is not meant for this side of a connection.
 * - `noAnchor`: the trust store holds no certificate that a chain can end in.
 * - `ambiguous`: one trust anchor stands under two names.
 */
export type MaterialReason = 'unreadable' | 'malformed' | 'mismatch' | 'outOfDate' | 'usage' | 'noAnchor' | 'ambiguous'

/** A key pair or trust store cannot be used: `ERR_TLS_MATERIAL` when a bundle is made, `ERR_TLS_RELOAD` later. */
export class TlsMaterialError extends ConfigurationError<'ERR_TLS_MATERIAL' | 'ERR_TLS_RELOAD'> {
  readonly reason: MaterialReason

  constructor(code: 'ERR_TLS_MATERIAL' | 'ERR_TLS_RELOAD', reason: MaterialReason, message: string, cause?: unknown) {
    super(code, { message, cause })
    this.reason = reason
  }
}

/** A certificate of a peer was refused, or a handshake failed. */
export class TlsPeerError extends AuthenticationError<TlsErrorCode> {
  constructor(code: TlsErrorCode, cause?: unknown) {
    super(code, { message: tlsErrorCodes[code], cause })
  }
}
