import { ConfigurationError, checkOptions, requireNumber, requireText, systemClock, type Clock } from '@portcullis/core'
import type { CertificateSource, KeyPairSource } from '@portcullis/crypto'

import { anyHostName, anyServer } from './danger.ts'

/** The protocol versions that are spoken. Older ones are broken (RFC 8996). */
export type TlsVersion = 'TLSv1.2' | 'TLSv1.3'

const cipherSuites = {
  TLS_AES_256_GCM_SHA384: true,
  TLS_CHACHA20_POLY1305_SHA256: true,
  TLS_AES_128_GCM_SHA256: true,
  'ECDHE-ECDSA-AES256-GCM-SHA384': true,
  'ECDHE-RSA-AES256-GCM-SHA384': true,
  'ECDHE-ECDSA-CHACHA20-POLY1305': true,
  'ECDHE-RSA-CHACHA20-POLY1305': true,
  'ECDHE-ECDSA-AES128-GCM-SHA256': true,
  'ECDHE-RSA-AES128-GCM-SHA256': true,
} as const

/**
 * The cipher suites that may be chosen: forward secret and authenticated (RFC 9325 section 4.2). The CBC suites and
 * finite-field Diffie-Hellman are not among them: every peer of the last ten years speaks one of these.
 */
export type CipherSuite = keyof typeof cipherSuites

const groups = { X25519MLKEM768: true, X25519: true, 'P-256': true, 'P-384': true, 'P-521': true } as const

/** The key agreements that may be chosen. `X25519MLKEM768` also withstands a quantum computer, and needs TLS 1.3. */
export type Group = keyof typeof groups

/** What both sides decide. */
export interface CommonTlsOptions {
  /** Default: both. */
  readonly versions?: readonly [TlsVersion, ...TlsVersion[]]
  /** In order of preference. Default: all that {@link CipherSuite} names. Without one for TLS 1.2 only TLS 1.3 is spoken, and the reverse. */
  readonly cipherSuites?: readonly [CipherSuite, ...CipherSuite[]]
  /** In order of preference. Default: the runtime's, with `X25519MLKEM768` first where it knows it. */
  readonly groups?: readonly [Group, ...Group[]]
  /** Whether a later connection may take up an earlier one's session and save a signature. Default `tickets`. */
  readonly resumption?: 'tickets' | 'off'
  /** The longest that a handshake may take, in milliseconds, from 1 to 120,000. Default 10,000: three retransmissions on a bad line. */
  readonly handshakeTimeoutMs?: number
  /**
   * How often files are looked at, in milliseconds, from 100 to one day; `off` leaves it to `reload()`. Default 10,000:
   * soon enough for certificates of an hour, and a few `stat` calls each. Polling, since change notices are lost
   * on network and container file systems and when a directory behind a link is exchanged.
   */
  readonly checkFilesEveryMs?: number | 'off'
  /** Judges dates. Default: the machine's. The runtime looks at the machine's too, when it verifies a chain. */
  readonly clock?: Clock
}

/** One key pair, or several of different types for one name (say RSA beside EC). */
export type Identity = KeyPairSource | readonly [KeyPairSource, ...KeyPairSource[]]

/** Trust anchors by name. The name is the issuer of principals whose certificates end there. */
export type NamedTrust = Readonly<Record<string, CertificateSource>>

/** How a server proves itself and whether it asks clients to. */
export interface ServerTlsOptions extends CommonTlsOptions {
  readonly side: 'server'
  /** Answers every server name that is not in `serverNames`, and clients that send none. */
  readonly identity: Identity
  /** By server name, exact or with one whole label as wildcard: `orders.example`, `*.example`. */
  readonly serverNames?: Readonly<Record<string, Identity>>
  /**
   * Mutual TLS: `require` a client certificate, or `accept` one from who has one. A certificate that is presented and
   * does not hold is refused either way. Absent: none is asked for.
   *
   * Chains end in the self-signed certificates of a source; others in it help to build them.
   */
  readonly clientCertificates?:
    | { readonly require: NamedTrust; readonly accept?: never }
    | { readonly accept: NamedTrust; readonly require?: never }
  /** How long a session may be resumed, in seconds, from 1 to 86,400. Default 300. A resumed session is judged anew, dates included. */
  readonly sessionTimeoutSeconds?: number
}

/** Whom a client trusts and how it proves itself. */
export interface ClientTlsOptions extends CommonTlsOptions {
  readonly side: 'client'
  /** For servers that ask for a client certificate. */
  readonly identity?: Identity
  /** The authorities whose servers are believed. Absent: the public ones that the runtime brings, and `NODE_EXTRA_CA_CERTS`. */
  readonly trust?: CertificateSource | typeof anyServer
  /** The certificate must hold the name that was asked for, always; only `anyHostName` of `./danger` gives that up. */
  readonly hostName?: typeof anyHostName
}

/** Everything that is decided about TLS, on either side. No boolean turns verification off. */
export type TlsOptions = ServerTlsOptions | ClientTlsOptions

const common = {
  side: true,
  identity: true,
  versions: true,
  cipherSuites: true,
  groups: true,
  resumption: true,
  handshakeTimeoutMs: true,
  checkFilesEveryMs: true,
  clock: true,
} as const
const serverKeys = { ...common, serverNames: true, clientCertificates: true, sessionTimeoutSeconds: true } as const
const clientKeys = { ...common, trust: true, hostName: true } as const

/** Options with every default filled in; sources are not read yet. */
export interface Settings {
  readonly side: 'server' | 'client'
  readonly identities: readonly KeyPairSource[]
  readonly serverNames: ReadonlyMap<string, readonly KeyPairSource[]>
  readonly trust: ReadonlyMap<string, CertificateSource>
  readonly clientCertificates: 'none' | 'require' | 'accept'
  readonly verifyServer: boolean
  readonly verifyHostName: boolean
  readonly minVersion: TlsVersion
  readonly maxVersion: TlsVersion
  readonly ciphers: string
  readonly ecdhCurve: string
  readonly resumption: boolean
  readonly sessionTimeoutSeconds: number
  readonly handshakeTimeoutMs: number
  readonly checkFilesEveryMs: number | undefined
  readonly clock: Clock
}

// The name under which a client's trust anchors are kept.
const serverTrustName = 'servers'

/** Checks options and fills in defaults. Throws core's `ERR_OPTION_*`. */
export function settingsOf(options: TlsOptions): Settings {
  const side: unknown = options?.side
  if (side !== 'server' && side !== 'client')
    throw invalid('Options of TLS begin with side: "server" or side: "client", for instance { side: "server", identity: { … } }.')
  const where = `tlsBundle({ side: "${side}" })`
  if (options.side === 'server') checkOptions(where, options, serverKeys)
  else checkOptions(where, options, clientKeys)
  return {
    side,
    ...commonSettings(where, options),
    ...(options.side === 'server' ? serverSettings(where, options) : clientSettings(where, options)),
  }
}

function commonSettings(where: string, options: TlsOptions) {
  const versions = listOf(`${where}: versions`, options.versions ?? ['TLSv1.2', 'TLSv1.3'], { 'TLSv1.2': true, 'TLSv1.3': true })
  const ciphers = listOf(`${where}: cipherSuites`, options.cipherSuites ?? Object.keys(cipherSuites), cipherSuites)
  const curves = options.groups === undefined ? undefined : listOf(`${where}: groups`, options.groups, groups)
  const { resumption = 'tickets', checkFilesEveryMs = 10_000 } = options
  if (resumption !== 'tickets' && resumption !== 'off') throw invalid(`${where}: resumption is "tickets" or "off".`)
  const minVersion: TlsVersion = versions.includes('TLSv1.2') ? 'TLSv1.2' : 'TLSv1.3'
  const maxVersion: TlsVersion = versions.includes('TLSv1.3') ? 'TLSv1.3' : 'TLSv1.2'
  const speaks = {
    'TLSv1.2': ciphers.some((suite) => !suite.startsWith('TLS_')),
    'TLSv1.3': ciphers.some((suite) => suite.startsWith('TLS_')),
  }
  const spoken = ([minVersion, maxVersion] as const).filter((version) => speaks[version])
  const [lowest] = spoken
  const highest = spoken.at(-1)
  if (lowest === undefined || highest === undefined)
    throw invalid(`${where}: none of the cipher suites belongs to ${versions.join(' or ')}.`)
  return {
    minVersion: lowest,
    maxVersion: highest,
    ciphers: ciphers.join(':'),
    ecdhCurve: curves === undefined ? 'auto' : curves.join(':'),
    resumption: resumption === 'tickets',
    handshakeTimeoutMs: requireNumber(`${where}: handshakeTimeoutMs`, options.handshakeTimeoutMs ?? 10_000, { min: 1, max: 120_000 }),
    checkFilesEveryMs:
      checkFilesEveryMs === 'off'
        ? undefined
        : requireNumber(`${where}: checkFilesEveryMs`, checkFilesEveryMs, { min: 100, max: 86_400_000 }),
    clock: options.clock ?? systemClock,
  }
}

function serverSettings(where: string, options: ServerTlsOptions) {
  const { clientCertificates: asked, serverNames = {}, sessionTimeoutSeconds = 300 } = options
  if (asked !== undefined) {
    checkOptions<{ require?: NamedTrust; accept?: NamedTrust }>(`${where}: clientCertificates`, asked, { require: true, accept: true })
    if ((asked.require === undefined) === (asked.accept === undefined))
      throw invalid(`${where}: clientCertificates needs either require or accept.`)
  }
  const trust = asked?.require ?? asked?.accept
  return {
    identities: identitiesOf(`${where}: identity`, options.identity),
    serverNames: new Map(
      Object.entries(serverNames).map(([name, identity]) => [
        serverNameKey(where, name),
        identitiesOf(`${where}: serverNames["${name}"]`, identity),
      ]),
    ),
    trust: trust === undefined ? new Map<string, CertificateSource>() : namedTrust(`${where}: clientCertificates`, trust),
    clientCertificates: asked === undefined ? ('none' as const) : asked.require === undefined ? ('accept' as const) : ('require' as const),
    verifyServer: true,
    verifyHostName: true,
    sessionTimeoutSeconds: requireNumber(`${where}: sessionTimeoutSeconds`, sessionTimeoutSeconds, { min: 1, max: 86_400 }),
  }
}

function clientSettings(where: string, options: ClientTlsOptions) {
  const { trust, hostName, identity } = options
  if ('hostName' in options && hostName !== anyHostName)
    throw invalid(`${where}: hostName can only be anyHostName of @portcullis/tls/danger.`)
  if ('trust' in options && (trust === undefined || (typeof trust !== 'object' && trust !== anyServer)))
    throw invalid(`${where}: trust must be a source of certificates.`)
  return {
    identities: 'identity' in options ? identitiesOf(`${where}: identity`, identity) : [],
    serverNames: new Map<string, readonly KeyPairSource[]>(),
    trust: new Map(trust === undefined || trust === anyServer ? [] : [[serverTrustName, trust]]),
    clientCertificates: 'none' as const,
    verifyServer: trust !== anyServer,
    verifyHostName: trust !== anyServer && hostName === undefined,
    sessionTimeoutSeconds: 300,
  }
}

function identitiesOf(where: string, identity: Identity | undefined): readonly KeyPairSource[] {
  const list: readonly unknown[] = Array.isArray(identity) ? identity : [identity]
  if (list.length === 0 || list.some((one) => typeof one !== 'object' || one === null))
    throw invalid(`${where} must be a key pair, or a list of them that is not empty.`)
  return list as readonly KeyPairSource[]
}

function namedTrust(where: string, trust: NamedTrust): ReadonlyMap<string, CertificateSource> {
  if (typeof trust !== 'object' || trust === null) throw invalid(`${where} needs trust anchors by name.`)
  const entries = Object.entries(trust)
  if (entries.length === 0) throw invalid(`${where} names no trust anchors.`)
  for (const [name, source] of entries) {
    requireText(`${where}: the name of a trust anchor`, name)
    if (typeof source !== 'object' || source === null) throw invalid(`${where}: "${name}" must be a source of certificates.`)
  }
  return new Map(entries)
}

// A server name as RFC 6066 section 3 has it: ASCII labels without a final dot; the first may be a wildcard.
const serverNamePattern = /^(\*\.)?[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*$/

function serverNameKey(where: string, name: string): string {
  const key = name.toLowerCase()
  if (!serverNamePattern.test(key))
    throw invalid(`${where}: "${name}" is no server name; international names are written in their ASCII form.`)
  return key
}

function listOf<Name extends string>(where: string, list: readonly string[], known: Readonly<Record<Name, true>>): readonly Name[] {
  if (!Array.isArray(list) || list.length === 0) throw invalid(`${where} must be a list that is not empty.`)
  for (const name of list)
    if (!Object.hasOwn(known, name)) throw invalid(`${where}: "${String(name)}" is none of ${Object.keys(known).join(', ')}.`)
  return list as readonly Name[]
}

function invalid(message: string): ConfigurationError {
  return new ConfigurationError('ERR_OPTION_INVALID', message)
}
