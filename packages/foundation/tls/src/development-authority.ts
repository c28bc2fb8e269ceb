import { isIP } from 'node:net'

import { ConfigurationError } from '@portcullis/core'

import { writeCertificate, type AlternativeNames, type Issued } from './write-certificate.ts'

// Long enough for a project's week, too short to forget about.
const developmentDays = 30

// What is valid a minute ago holds on a machine whose clock is a little behind.
const backdatedMs = 60_000

/** An authority for this machine alone. */
export interface DevelopmentAuthority {
  readonly issued: Issued
  /** Issues for names of this machine: `localhost`, names below it, loopback addresses. */
  forServer(names: readonly [string, ...string[]]): Promise<Issued>
  /** Issues for a client of this name, of lower-case letters, digits and hyphens. */
  forClient(name: string): Promise<Issued>
}

/**
 * Makes an authority that can do no harm if it is trusted by mistake: by a critical constraint it can only name
 * `localhost`, what lies below it, and loopback addresses (RFC 5280 section 4.2.1.10); no authority can follow below
 * it; it ends after 30 days; and it says "development" in its name.
 */
export async function developmentAuthority(now: number): Promise<DevelopmentAuthority> {
  const dates = { notBefore: new Date(now - backdatedMs), notAfter: new Date(now + developmentDays * 86_400_000) }
  const issued = await writeCertificate({
    commonName: 'development only',
    organization: 'Portcullis development authority',
    ...dates,
    authority: { pathLength: 0, permitted: onThisMachine },
  })
  return {
    issued,
    forServer: (names) =>
      writeCertificate({ commonName: 'development server', ...dates, usages: ['serverAuth'], names: serverNames(names), issuer: issued }),
    forClient: async (name) =>
      writeCertificate({ commonName: requireClientName(name), ...dates, usages: ['clientAuth'], names: clientNames(name), issuer: issued }),
  }
}

const loopback4 = Buffer.of(127, 0, 0, 1)
const loopback6 = Buffer.concat([Buffer.alloc(15), Buffer.of(1)])

// An address in a constraint is followed by its mask: 127.0.0.0/8 and ::1/128. A kind of name that is not listed would be free.
const onThisMachine: AlternativeNames = {
  dns: ['localhost'],
  email: ['localhost'],
  uri: ['localhost'],
  ip: [Buffer.of(127, 0, 0, 0, 255, 0, 0, 0), Buffer.concat([loopback6, Buffer.alloc(16, 255)])],
}

const serverName = /^([a-z0-9]([a-z0-9-]*[a-z0-9])?\.)*localhost$/
const clientName = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/

function serverNames(names: readonly string[]): AlternativeNames {
  const dns = names.filter((name) => isIP(name) === 0)
  for (const name of dns) if (!serverName.test(name)) throw refused(`"${name}" is not localhost and does not lie below it.`)
  const addresses = names.filter((name) => isIP(name) !== 0).map(loopback)
  return { dns, ip: [loopback4, loopback6, ...addresses] }
}

function loopback(address: string): Buffer {
  const bytes = Buffer.from(address.split('.').map(Number))
  if (address === '::1') return loopback6
  if (isIP(address) !== 4 || bytes[0] !== 127) throw refused(`${address} is no loopback address.`)
  return bytes
}

/** Checks the name of a development client; it also becomes part of a file name. */
export function requireClientName(name: string): string {
  if (typeof name !== 'string' || !clientName.test(name))
    throw refused('The name of a client is made of lower-case letters, digits and hyphens.')
  return name
}

function clientNames(name: string): AlternativeNames {
  return { dns: [`${name}.localhost`], email: [`${name}@localhost`], uri: [`spiffe://localhost/${name}`] }
}

function refused(why: string): ConfigurationError {
  return new ConfigurationError('ERR_OPTION_INVALID', `Certificates of development: ${why}`)
}
