/** What must not compile. */
import type { KeyPairSource } from '@portcullis/crypto'

import type { CertificateRule } from './client-certificate.ts'
import { anyHostName } from './danger.ts'
import {
  peerCertificateOf,
  secureClientOptions,
  secureServerOptions,
  tlsBundle,
  type ClientTlsBundle,
  type ClientTlsOptions,
  type ServerTlsBundle,
  type ServerTlsOptions,
} from './index.ts'

declare const identity: KeyPairSource
declare const server: ServerTlsBundle
declare const client: ClientTlsBundle

// @ts-expect-error a server must prove itself
export const nobody: ServerTlsOptions = { side: 'server' }
// @ts-expect-error no boolean turns verification off
export const off: ClientTlsOptions = { side: 'client', trust: false }
// @ts-expect-error nor does a text, which could come from data
export const text: ClientTlsOptions = { side: 'client', hostName: 'anyHostName' }
// @ts-expect-error a server has no host to compare
export const wrongSide: ServerTlsOptions = { side: 'server', identity, hostName: anyHostName }
// @ts-expect-error either required or accepted
export const both: ServerTlsOptions = { side: 'server', identity, clientCertificates: { require: {}, accept: {} } }
// @ts-expect-error an old version
export const old: ClientTlsOptions = { side: 'client', versions: ['TLSv1.1'] }
// @ts-expect-error an empty list
export const none: ClientTlsOptions = { side: 'client', versions: [] }
// @ts-expect-error a rule knows some or everyone
export const rule: CertificateRule = { by: 'dns' }
// @ts-expect-error and not both
export const bothRules: CertificateRule = { by: 'dns', everyone: { scopes: [] }, principals: {} }
// @ts-expect-error everyone's scopes are written out
export const silent: CertificateRule = { by: 'dns', everyone: {} }
// @ts-expect-error the bundle of a client serves nobody
secureServerOptions(client)
// @ts-expect-error the bundle of a server connects to nobody
secureClientOptions(server, { host: 'localhost' })
// @ts-expect-error the name that is compared is required
secureClientOptions(client, {})
// @ts-expect-error a connection without TLS
peerCertificateOf({}, server)

export const bundles: [Promise<ServerTlsBundle>, Promise<ClientTlsBundle>] = [
  tlsBundle({ side: 'server', identity }),
  tlsBundle({ side: 'client', hostName: anyHostName }),
]
