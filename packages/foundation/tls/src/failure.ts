/**
 * What went wrong with TLS on the way to a server, for whoever sees no more than the code of an error: the name of the
 * server is another; its certificate is not trusted; it refused the client's certificate; it does not speak TLS, or none that both speak.
 */
export type TlsFailure = 'hostName' | 'serverUntrusted' | 'certificateRefused' | 'mismatch'

/**
 * What the code of an error says of TLS: one of this package, of `node:tls`, or of OpenSSL's alerts. `undefined` for
 * every other code. For adapters whose library opens the connection and hands out what it got.
 */
export function tlsFailureOf(code: string): TlsFailure | undefined {
  return failures.get(code)
}

const words: Readonly<Record<TlsFailure, readonly string[]>> = {
  hostName: ['ERR_TLS_HOST_NAME', 'ERR_TLS_CERT_ALTNAME_INVALID', 'HOSTNAME_MISMATCH'],
  serverUntrusted: [
    'ERR_TLS_SERVER_UNTRUSTED',
    'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
    'UNABLE_TO_GET_ISSUER_CERT',
    'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
    'SELF_SIGNED_CERT_IN_CHAIN',
    'DEPTH_ZERO_SELF_SIGNED_CERT',
    'CERT_HAS_EXPIRED',
    'CERT_NOT_YET_VALID',
    'CERT_SIGNATURE_FAILURE',
    'CERT_UNTRUSTED',
    'CERT_REVOKED',
    'CERT_REJECTED',
    'CERT_CHAIN_TOO_LONG',
    'UNABLE_TO_DECRYPT_CERT_SIGNATURE',
    'UNABLE_TO_DECODE_ISSUER_PUBLIC_KEY',
    'ERROR_IN_CERT_NOT_BEFORE_FIELD',
    'ERROR_IN_CERT_NOT_AFTER_FIELD',
    'INVALID_CA',
    'INVALID_PURPOSE',
    'PATH_LENGTH_EXCEEDED',
  ],
  // The names of one alert differ by the version of OpenSSL.
  certificateRefused: [
    'ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED',
    'ERR_SSL_TLSV1_ALERT_UNKNOWN_CA',
    'ERR_SSL_TLSV1_ALERT_ACCESS_DENIED',
    'ERR_SSL_SSL/TLS_ALERT_BAD_CERTIFICATE',
    'ERR_SSL_SSL/TLS_ALERT_CERTIFICATE_UNKNOWN',
    'ERR_SSL_SSL/TLS_ALERT_CERTIFICATE_EXPIRED',
    'ERR_SSL_SSL/TLS_ALERT_HANDSHAKE_FAILURE',
    'ERR_SSL_SSLV3_ALERT_BAD_CERTIFICATE',
    'ERR_SSL_SSLV3_ALERT_CERTIFICATE_UNKNOWN',
    'ERR_SSL_SSLV3_ALERT_CERTIFICATE_EXPIRED',
    'ERR_SSL_SSLV3_ALERT_HANDSHAKE_FAILURE',
  ],
  mismatch: [
    'ERR_TLS_ALPN',
    'ERR_SSL_WRONG_VERSION_NUMBER',
    'ERR_SSL_PACKET_LENGTH_TOO_LONG',
    'ERR_SSL_HTTP_REQUEST',
    'ERR_SSL_UNSUPPORTED_PROTOCOL',
    'ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION',
    'ERR_SSL_TLSV1_ALERT_NO_APPLICATION_PROTOCOL',
    // Each of these, where the client was already writing when it came to nothing.
    'EPROTO',
  ],
}

const failures: ReadonlyMap<string, TlsFailure> = new Map(
  (Object.entries(words) as [TlsFailure, readonly string[]][]).flatMap(([failure, codes]) => codes.map((code) => [code, failure] as const)),
)
