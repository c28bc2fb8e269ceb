import { stat } from 'node:fs/promises'
import { createSecureContext } from 'node:tls'

import { isSecurityError } from '@portcullis/core'
import {
  formatName,
  keyUsages,
  loadKeyPair,
  loadTrustAnchors,
  type Certificate,
  type CertificateSource,
  type KeyPairSource,
} from '@portcullis/crypto'

import type { MaterialReason } from './errors.ts'
import type { Settings } from './options.ts'
import { isInDate, isSelfSigned } from './trust.ts'

/** A key and the certificates that speak for it, as `node:tls` takes them. */
export interface LoadedIdentity {
  readonly key: string
  /** The leaf first, then what leads towards an anchor. */
  readonly cert: string
  readonly expiresAt: Date
}

/** Everything that the sources of a bundle hold, read and checked. */
export interface Material {
  readonly identities: readonly LoadedIdentity[]
  readonly serverNames: ReadonlyMap<string, readonly LoadedIdentity[]>
  readonly trust: ReadonlyMap<string, readonly Certificate[]>
}

/** What is wrong with a source; the bundle turns it into a `TlsMaterialError` with a code of its own. */
export class MaterialProblem extends Error {
  readonly reason: MaterialReason

  constructor(reason: MaterialReason, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause })
    this.reason = reason
  }
}

/** Reads and checks every source. Throws {@link MaterialProblem}. */
export async function readMaterial(settings: Settings): Promise<Material> {
  const identities = await readIdentities(settings.side, 'identity', settings.identities, settings)
  const serverNames = new Map<string, readonly LoadedIdentity[]>()
  for (const [name, sources] of settings.serverNames)
    serverNames.set(name, await readIdentities(settings.side, `serverNames["${name}"]`, sources, settings))
  const trust = new Map<string, readonly Certificate[]>()
  for (const [name, source] of settings.trust) trust.set(name, await readTrust(name, source, settings))
  return { identities, serverNames, trust }
}

/** The paths of all files that the sources name. */
export function filesOf(settings: Settings): readonly string[] {
  const sources: object[] = [...settings.identities, ...[...settings.serverNames.values()].flat(), ...settings.trust.values()]
  const paths = new Set<string>()
  for (const source of sources) {
    const parts: readonly object[] =
      'key' in source && 'certificates' in source ? [source.key as object, source.certificates as object] : [source]
    for (const part of parts)
      for (const name of ['pemFile', 'derFile', 'pkcs12File']) if (name in part) paths.add(String((part as Record<string, unknown>)[name]))
  }
  return [...paths]
}

/** Changes whenever a file is written, replaced, or reached over another link. */
export async function signatureOf(paths: readonly string[]): Promise<string> {
  const parts = await Promise.all(
    paths.map(async (path) => {
      try {
        const { dev, ino, size, mtimeNs, ctimeNs } = await stat(path, { bigint: true })
        return `${dev}:${ino}:${size}:${mtimeNs}:${ctimeNs}`
      } catch {
        return 'missing'
      }
    }),
  )
  return parts.join('\n')
}

async function readIdentities(
  side: Settings['side'],
  where: string,
  sources: readonly KeyPairSource[],
  settings: Settings,
): Promise<readonly LoadedIdentity[]> {
  const identities: LoadedIdentity[] = []
  for (const source of sources) identities.push(await readIdentity(side, where, source, settings))
  return identities
}

const usages = { server: keyUsages.serverAuth, client: keyUsages.clientAuth } as const

async function readIdentity(side: Settings['side'], where: string, source: KeyPairSource, settings: Settings): Promise<LoadedIdentity> {
  const { privateKey, certificates } = await loaded(where, () => loadKeyPair(source))
  const [leaf] = certificates
  const now = settings.clock.now()
  for (const { x509, notBefore, notAfter, subject } of certificates) {
    if (isInDate(x509, now)) continue
    throw new MaterialProblem(
      'outOfDate',
      `${where}: ${formatName(subject)} is valid from ${notBefore.toISOString()} to ${notAfter.toISOString()}.`,
    )
  }
  // An empty list of usages would be malformed; absent means that nothing is excluded.
  if (leaf.extendedKeyUsages?.includes(usages[side]) === false)
    throw new MaterialProblem('usage', `${where}: the certificate is not meant for a TLS ${side}.`)
  const identity = {
    key: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
    cert: certificates.map(({ x509 }) => x509.toString()).join(''),
    expiresAt: new Date(Math.min(...certificates.map(({ notAfter }) => notAfter.getTime()))),
  }
  try {
    createSecureContext({ key: identity.key, cert: identity.cert })
  } catch (cause) {
    throw new MaterialProblem('malformed', `${where}: the runtime does not take this key pair.`, cause)
  }
  return identity
}

async function readTrust(name: string, source: CertificateSource, settings: Settings): Promise<readonly Certificate[]> {
  const where = `The trust anchors "${name}"`
  const certificates = await loaded(where, () => loadTrustAnchors(source))
  const now = settings.clock.now()
  const anchors = certificates.filter(({ x509 }) => isSelfSigned(x509))
  if (anchors.length === 0) throw new MaterialProblem('noAnchor', `${where} hold no self-signed certificate, in which a chain could end.`)
  if (!anchors.some(({ x509 }) => isInDate(x509, now))) throw new MaterialProblem('outOfDate', `${where} are all expired or not yet valid.`)
  return certificates
}

async function loaded<T>(where: string, load: () => Promise<T>): Promise<T> {
  try {
    return await load()
  } catch (cause) {
    const code = isSecurityError(cause) ? cause.code : ''
    throw new MaterialProblem(
      reasons.get(code) ?? 'malformed',
      `${where}: ${cause instanceof Error ? cause.message : 'cannot be read.'}`,
      cause,
    )
  }
}

const reasons: ReadonlyMap<string, MaterialReason> = new Map<string, MaterialReason>([
  ['ERR_CRYPTO_FILE_UNREADABLE', 'unreadable'],
  ['ERR_CRYPTO_CERTIFICATE_MISMATCH', 'mismatch'],
])
