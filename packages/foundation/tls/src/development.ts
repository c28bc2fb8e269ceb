/**
 * TLS for development and tests, without files and without touching what the machine trusts: a throw-away authority in
 * memory, certificates for loopback names, and the client that trusts them. Never for anything that others reach.
 */
import { checkOptions, ConfigurationError, systemClock, type Clock } from '@portcullis/core'

import { tlsBundle, type ClientTlsBundle, type ServerTlsBundle } from './bundle.ts'
import { developmentAuthority } from './development-authority.ts'
import type { Issued } from './write-certificate.ts'

export { writeCertificate } from './write-certificate.ts'
export type { AlternativeNames, CertificateContent, Issued } from './write-certificate.ts'

export { createDevelopmentCertificates } from './development-certificates.ts'
export type { CertificateFiles, DevelopmentCertificates, DevelopmentCertificatesOptions } from './development-certificates.ts'

/** What may differ from a plain development server. */
export interface DevelopmentTlsOptions {
  /** The names of the server: `localhost`, names below it, loopback addresses. Default `['localhost']`; `127.0.0.1` and `::1` are always among them. */
  readonly names?: readonly [string, ...string[]]
  /** Whether clients must or may present a certificate of `clientFor`. Default: none is asked for. */
  readonly clientCertificates?: 'require' | 'accept'
  readonly clock?: Clock
}

/** A server's bundle, with the clients that fit it. */
export interface DevelopmentTls extends ServerTlsBundle {
  /** The same bundle, for those who take a server and a client out of one value. */
  readonly server: ServerTlsBundle
  /** Trusts this server, and proves nothing of itself. */
  readonly client: ClientTlsBundle
  /**
   * Trusts this server, and proves itself by a certificate with the common name `name`, the alternative names
   * `<name>.localhost`, `<name>@localhost` and `spiffe://localhost/<name>`.
   */
  readonly clientFor: (name: string) => Promise<ClientTlsBundle>
  /** The certificate of the authority as PEM, for tools such as `curl --cacert`. */
  readonly authority: string
}

/** The name of the trust anchor, and so the issuer of principals whose certificate comes from `clientFor`. */
export const developmentIssuer = 'development'

/**
 * Makes a server's TLS for this machine, out of a throw-away authority that exists in memory only.
 *
 * The authority can only name `localhost`, what lies below it and loopback addresses, by a critical constraint; it ends
 * after 30 days. The result is a bundle: pass it to a listener as its `tls`, and its `client` to a client.
 */
export async function developmentTls(options: DevelopmentTlsOptions = {}): Promise<DevelopmentTls> {
  checkOptions('developmentTls()', options, { names: true, clientCertificates: true, clock: true })
  const { names = ['localhost'], clientCertificates, clock = systemClock } = options
  if (!Array.isArray(names) || names.length === 0)
    throw new ConfigurationError('ERR_OPTION_INVALID', 'developmentTls(): names must be a list that is not empty.')
  if (clientCertificates !== undefined && clientCertificates !== 'require' && clientCertificates !== 'accept') {
    throw new ConfigurationError('ERR_OPTION_INVALID', 'developmentTls(): clientCertificates is "require" or "accept".')
  }
  const authority = await developmentAuthority(clock.now())
  const trust = authority.issued.certificate
  const named = { [developmentIssuer]: trust }
  const server = await tlsBundle({
    side: 'server',
    identity: keyPair(await authority.forServer(names)),
    clock,
    ...(clientCertificates === 'require' && { clientCertificates: { require: named } }),
    ...(clientCertificates === 'accept' && { clientCertificates: { accept: named } }),
  })
  const client = await tlsBundle({ side: 'client', trust, clock })
  const clientFor = async (name: string): Promise<ClientTlsBundle> =>
    tlsBundle({ side: 'client', trust, clock, identity: keyPair(await authority.forClient(name)) })
  return Object.assign(server, { server, client, clientFor, authority: trust.toString() })
}

function keyPair({ key, certificate }: Issued) {
  return { key, certificates: certificate }
}
