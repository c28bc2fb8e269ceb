import {
  authenticator,
  checkOptions,
  ConfigurationError,
  notMine,
  refused,
  requireTexts,
  vouchForPrincipal,
  type Authenticator,
  type PeerCertificate,
  type Principal,
  type Verdict,
} from '@portcullis/core'
import { formatName, nameValues, parseCertificate, type Certificate } from '@portcullis/crypto'

import { stateOf, type ServerTlsBundle } from './bundle.ts'
import type { PeerRefusalCode } from './errors.ts'
import type { Anchor } from './trust.ts'

const namesBy = {
  /** The whole distinguished name as RFC 4514 writes it, most specific part first: `CN=orders,O=Example`. */
  subject: ({ subject }: Certificate) => [formatName(subject)],
  /** The common name of the subject. */
  commonName: ({ subject }: Certificate) => nameValues(subject, 'CN'),
  dns: ({ subjectAltNames }: Certificate) => subjectAltNames.dns,
  email: ({ subjectAltNames }: Certificate) => subjectAltNames.email,
  /** For SPIFFE: the certificate must hold exactly one. */
  uri: ({ subjectAltNames }: Certificate) => subjectAltNames.uri,
  /** The SHA-256 of the certificate, base64url: this very certificate and none that is issued later. */
  thumbprint: ({ thumbprint }: Certificate) => [thumbprint],
} as const satisfies Record<string, (certificate: Certificate) => readonly string[]>

/** Which name of a certificate says who its holder is. Names are compared as decoded values, whole and exact, with their case. */
export type CertificateName = keyof typeof namesBy

/** Whom the certificates of one authority speak for. */
export type CertificateRule =
  | {
      readonly by: CertificateName
      /** Who is known, with the scopes of each. A certificate with none of these names, or with two of them, is refused. */
      readonly principals: Readonly<Record<string, readonly string[]>>
      readonly everyone?: never
    }
  | {
      readonly by: CertificateName
      /** Every holder of a certificate of this authority, with these scopes. A certificate must have exactly one such name. */
      readonly everyone: { readonly scopes: readonly string[] }
      readonly principals?: never
    }

/** Which client certificates are believed to be whose. */
export interface ClientCertificateOptions {
  /** The bundle of the listeners that ask for certificates. */
  readonly tls: ServerTlsBundle
  /**
   * A rule for each trust anchor of the bundle, by its name there. The name becomes the issuer of its principals, so
   * that one name certified by two authorities is two principals.
   */
  readonly issuers: Readonly<Record<string, CertificateRule>>
}

/** What an authorizer may read of a certificate. */
export interface CertificateClaims extends Record<string, unknown> {
  readonly subject: string
  readonly dns: readonly string[]
  readonly email: readonly string[]
  readonly uri: readonly string[]
  readonly thumbprint: string
}

/**
 * Proves a peer by the client certificate of its connection (H-11, H-29).
 *
 * The principal's issuer is the name of the trust anchor in which the chain ended; its subject is the name that the
 * rule asks for; it expires with the certificate, and is revoked when the anchor leaves the bundle. It offers no
 * scheme, since no challenge can ask for a certificate.
 *
 * A certificate of an authority without a rule is not judged here; one without a fitting name is refused with
 * `ERR_TLS_PEER_UNKNOWN`, one with two with `ERR_TLS_PEER_NAME_AMBIGUOUS`. What the handshake proves is judged by
 * `peerCertificateOf`; revocation lists are not looked at.
 */
export function clientCertificate(options: ClientCertificateOptions): Authenticator<Principal<CertificateClaims>> {
  checkOptions('clientCertificate()', options, { tls: true, issuers: true })
  const state = stateOf('clientCertificate(): tls', options.tls, 'server')
  const rules = new Map(
    Object.entries(options.issuers ?? {}).map(([issuer, rule]) => [issuer, compile(`clientCertificate(): issuers["${issuer}"]`, rule)]),
  )
  if (rules.size === 0) throw invalid('clientCertificate() needs a rule for at least one issuer.')
  for (const issuer of rules.keys()) {
    if (!state.settings.trust.has(issuer)) throw invalid(`clientCertificate(): the bundle has no trust anchors named "${issuer}".`)
  }
  // A connection's certificate is one object for as long as it lasts, so its names are decoded once.
  const judged = new WeakMap<PeerCertificate, { readonly anchor: Anchor; readonly verdict: Verdict<Principal<CertificateClaims>> }>()
  return authenticator('clientCertificate', ({ channel }) => {
    const { certificate } = channel
    if (certificate === undefined) return notMine
    const anchor = state.generation.trust.anchors.get(certificate.anchor)
    if (anchor === undefined) return refused('ERR_TLS_PEER_UNTRUSTED' satisfies PeerRefusalCode)
    const known = judged.get(certificate)
    if (known?.anchor === anchor) return known.verdict
    const rule = rules.get(anchor.name)
    const verdict = rule === undefined ? notMine : rule(certificate, anchor)
    judged.set(certificate, { anchor, verdict })
    return verdict
  })
}

type CompiledRule = (peer: PeerCertificate, anchor: Anchor) => Verdict<Principal<CertificateClaims>>

function compile(where: string, rule: CertificateRule): CompiledRule {
  checkOptions<{ by: CertificateName; principals?: unknown; everyone?: unknown }>(where, rule, {
    by: true,
    principals: true,
    everyone: true,
  })
  const { by, principals, everyone } = rule
  if (!Object.hasOwn(namesBy, by)) throw invalid(`${where}: by is one of ${Object.keys(namesBy).join(', ')}.`)
  if ((principals === undefined) === (everyone === undefined)) throw invalid(`${where} needs either principals or everyone.`)
  const known = principals === undefined ? undefined : tableOf(where, by, principals)
  const scopesOfAll = everyone === undefined ? [] : scopesOf(`${where}: everyone.scopes`, everyone.scopes)
  return (peer, anchor) => {
    const certificate = parseCertificate(peer.der)
    const names = [...new Set(namesBy[by](certificate))]
    // The SPIFFE X509-SVID standard, section 5.2, for every URI: a second one is no name to pass over.
    const fitting = known === undefined || by === 'uri' ? names : names.filter((name) => known.has(name))
    const [subject, second] = fitting
    if (second !== undefined) return refused('ERR_TLS_PEER_NAME_AMBIGUOUS' satisfies PeerRefusalCode)
    const scopes = subject === undefined || subject === '' ? undefined : known === undefined ? scopesOfAll : known.get(subject)
    if (subject === undefined || scopes === undefined) return refused('ERR_TLS_PEER_UNKNOWN' satisfies PeerRefusalCode)
    const { subjectAltNames: alternative } = certificate
    return vouchForPrincipal({
      issuer: anchor.name,
      subject,
      scopes,
      claims: {
        subject: formatName(certificate.subject),
        dns: [...alternative.dns],
        email: [...alternative.email],
        uri: [...alternative.uri],
        thumbprint: certificate.thumbprint,
      },
      expiresAt: peer.notAfter,
      revocations: [anchor.revocation],
    })
  }
}

function tableOf(
  where: string,
  by: CertificateName,
  principals: Readonly<Record<string, readonly string[]>>,
): ReadonlyMap<string, readonly string[]> {
  if (typeof principals !== 'object' || principals === null) throw invalid(`${where}: principals must be a record of scopes by name.`)
  const table = new Map<string, readonly string[]>()
  for (const [name, scopes] of Object.entries(principals)) {
    if (name.trim() === '') throw invalid(`${where}: the name of a principal is empty.`)
    if (by === 'thumbprint' && !/^[\w-]{43}$/.test(name)) throw invalid(`${where}: "${name}" is no SHA-256 thumbprint in base64url.`)
    table.set(name, scopesOf(`${where}: principals["${name}"]`, scopes))
  }
  if (table.size === 0) throw invalid(`${where}: principals is empty.`)
  return table
}

/** A list may be empty: who is known may have no scopes. Its texts may not. */
function scopesOf(where: string, scopes: readonly string[]): readonly string[] {
  if (!Array.isArray(scopes)) throw invalid(`${where} must be a list of scopes.`)
  return scopes.length === 0 ? [] : requireTexts(where, scopes)
}

function invalid(message: string): ConfigurationError {
  return new ConfigurationError('ERR_OPTION_INVALID', message)
}
