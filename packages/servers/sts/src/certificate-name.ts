import { formatName, parseCertificate } from '@portcullis/crypto'
import type { PeerCertificate } from '@portcullis/core'

/** Whether a client's certificate holds the name that it is registered with (RFC 8705 section 2.1.2): whole, exact, value by value. */
export function holdsName(certificate: PeerCertificate, property: string, expected: string): boolean {
  const { subject, subjectAltNames } = parseCertificate(certificate.der)
  const names: Readonly<Record<string, readonly string[]>> = {
    tls_client_auth_subject_dn: [formatName(subject)],
    tls_client_auth_san_dns: subjectAltNames.dns,
    tls_client_auth_san_uri: subjectAltNames.uri,
    tls_client_auth_san_email: subjectAltNames.email,
    tls_client_auth_san_ip: subjectAltNames.ip,
  }
  return Object.hasOwn(names, property) && names[property]?.includes(expected) === true
}
