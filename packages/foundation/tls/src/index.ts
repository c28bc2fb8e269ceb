/**
 * `@portcullis/tls`: key pairs and trust anchors that listeners and clients share and that change while they run, and
 * client certificates as principals.
 *
 * An adapter takes the options and the bundles of this package as its `tls`; depend on it directly to write an adapter,
 * to let clients prove themselves by certificate, or to reload by hand. It opens no listener, and it looks at no
 * revocation lists: issue for days, not for years.
 */
export { attach, secureServerOptions } from './server.ts'
export type { SecureServer, ServerProtocol } from './server.ts'
export { attachClient, connectTls, secureClientOptions } from './client.ts'
export type { ConnectTlsOptions, SecureClientOptions, ServerAddress } from './client.ts'
export { isTlsBundle, tlsBundle } from './bundle.ts'
export type { ClientTlsBundle, ServerTlsBundle, TlsBundle, TlsEvent, TlsListener } from './bundle.ts'
export type {
  CipherSuite,
  ClientTlsOptions,
  CommonTlsOptions,
  Group,
  Identity,
  NamedTrust,
  ServerTlsOptions,
  TlsOptions,
  TlsVersion,
} from './options.ts'
export { clientCertificate } from './client-certificate.ts'
export type { CertificateClaims, CertificateName, CertificateRule, ClientCertificateOptions } from './client-certificate.ts'
export { diagnosis, errorsWithin } from './diagnosis.ts'
export type { Diagnosis, DiagnosisOptions, Evidence } from './diagnosis.ts'
export { tlsFailureOf } from './failure.ts'
export type { TlsFailure } from './failure.ts'
export { peerCertificateOf } from './peer.ts'
export { TlsMaterialError, TlsPeerError, tlsErrorCodes } from './errors.ts'
export type { MaterialReason, PeerRefusalCode, TlsErrorCode } from './errors.ts'
