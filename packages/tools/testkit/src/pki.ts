import { certificateThumbprint } from '@portcullis/crypto'
import { writeCertificate, type CertificateContent, type Issued } from '@portcullis/tls/development'

/** A certificate with its key. */
export interface TestIdentity {
  /** PEM: the certificate, the authority that it ends in, and the key. Serves as key pair wherever `{ pem }` does. */
  readonly pem: string
  /** SHA-256 of the certificate, base64url: the `x5t#S256` of RFC 8705. */
  readonly thumbprint: string
}

/** A client certificate of the kit: of the trusted authority (alice, bob), of another one, out of date, or for servers only. */
export type CertificateName = 'alice' | 'bob' | 'foreign' | 'expired' | 'serverOnly'

/** A server certificate of the kit; `renewed` is sound too, and of an authority of its own. */
export type ServerName = 'sound' | 'renewed' | 'wrongName' | 'foreign' | 'expired'

/** The name that the kit's servers have. */
export const serverName = 'localhost'

/** Certificates for tests, of authorities that exist in this process only. */
export interface TestPki {
  readonly clients: Readonly<Record<CertificateName, TestIdentity>>
  readonly servers: Readonly<Record<ServerName, TestIdentity>>
  /** PEM certificates of authorities: the one of the clients, and those of the sound and the renewed server. */
  readonly authorities: Readonly<Record<'clients' | 'sound' | 'renewed', string>>
}

const dayMs = 86_400_000

/** Mints a {@link TestPki}, sound from yesterday until tomorrow by the machine's clock, which the runtime judges chains by. Takes some ten milliseconds. */
export async function testPki(nowMs: number = Date.now()): Promise<TestPki> {
  const soon = { notBefore: new Date(nowMs - dayMs), notAfter: new Date(nowMs + dayMs) }
  const past = { notBefore: new Date(nowMs - 2 * dayMs), notAfter: new Date(nowMs - dayMs) }
  const authority = (commonName: string): Promise<Issued> =>
    writeCertificate({ commonName, ...soon, notBefore: past.notBefore, authority: { pathLength: 0 } })
  const [clients, sound, renewed, foreign] = (await Promise.all(
    ['clients', 'servers', 'renewed servers', 'foreign'].map((name) => authority(`Test authority of ${name}`)),
  )) as [Issued, Issued, Issued, Issued]

  const client = (issuer: Issued, commonName: string, details: Partial<CertificateContent> = {}) =>
    identity(issuer, { commonName, usages: ['clientAuth'], names: { uri: [`urn:test:${commonName}`] }, ...soon, ...details })
  const server = (issuer: Issued, names: CertificateContent['names'], details: Partial<CertificateContent> = {}) =>
    identity(issuer, { commonName: 'server', usages: ['serverAuth'], ...(names && { names }), ...soon, ...details })
  const local = { dns: [serverName], ip: [Uint8Array.of(127, 0, 0, 1)] }
  return {
    clients: {
      alice: await client(clients, 'alice'),
      bob: await client(clients, 'bob'),
      foreign: await client(foreign, 'alice'),
      expired: await client(clients, 'alice', past),
      serverOnly: await client(clients, 'alice', { usages: ['serverAuth'] }),
    },
    servers: {
      sound: await server(sound, local),
      renewed: await server(renewed, local),
      wrongName: await server(sound, { dns: ['elsewhere.test'] }),
      foreign: await server(foreign, local),
      expired: await server(sound, local, past),
    },
    authorities: { clients: clients.certificate.toString(), sound: sound.certificate.toString(), renewed: renewed.certificate.toString() },
  }
}

async function identity(issuer: Issued, content: CertificateContent): Promise<TestIdentity> {
  const { certificate, key } = await writeCertificate({ ...content, issuer })
  return {
    pem: `${certificate.toString()}${issuer.certificate.toString()}${key.export({ type: 'pkcs8', format: 'pem' }).toString()}`,
    thumbprint: certificateThumbprint(certificate),
  }
}
