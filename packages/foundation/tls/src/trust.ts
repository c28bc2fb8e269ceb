import type { X509Certificate } from 'node:crypto'

import { Revocation } from '@portcullis/core'
import { certificateThumbprint, type Certificate } from '@portcullis/crypto'

/** A certificate in which chains may end. */
export interface Anchor {
  /** The name that the configuration gave to its source. */
  readonly name: string
  readonly thumbprint: string
  readonly certificate: X509Certificate
  /** Revoked when the anchor leaves the bundle. */
  readonly revocation: Revocation
}

/** What chains are built from and end in. */
export interface Trust {
  /** By thumbprint. */
  readonly anchors: ReadonlyMap<string, Anchor>
  /** Further certificates of the sources: trusted to be no end, useful to get to one. */
  readonly intermediates: readonly X509Certificate[]
  /** Tells whether two trusts are the same. */
  readonly fingerprint: string
}

/**
 * Sorts the certificates of all sources into anchors, which are self-signed, and others. An anchor that was there
 * before under the same name keeps its revocation, and so its principals. Expired ones are kept: a chain that ends in
 * one does not hold, which is judged when it is asked. Yields undefined if one certificate stands under two names.
 */
export function trustOf(sources: ReadonlyMap<string, readonly Certificate[]>, before?: Trust): Trust | undefined {
  const anchors = new Map<string, Anchor>()
  const intermediates = new Map<string, X509Certificate>()
  for (const [name, certificates] of sources) {
    for (const { x509: certificate, thumbprint } of certificates) {
      if (!isSelfSigned(certificate)) {
        intermediates.set(thumbprint, certificate)
        continue
      }
      const known = anchors.get(thumbprint)
      if (known !== undefined && known.name !== name) return undefined
      const old = before?.anchors.get(thumbprint)
      anchors.set(thumbprint, old?.name === name ? old : { name, thumbprint, certificate, revocation: new Revocation() })
    }
  }
  const fingerprint = [...[...anchors.values()].map((anchor) => `${anchor.thumbprint} ${anchor.name}`), ...intermediates.keys()]
    .toSorted()
    .join('\n')
  return { anchors, intermediates: [...intermediates.values()], fingerprint }
}

/** Tells whether a certificate holds at this time, both ends included (RFC 5280 section 4.1.2.5). */
export function isInDate(certificate: X509Certificate, now: number): boolean {
  return now >= certificate.validFromDate.getTime() && now <= certificate.validToDate.getTime()
}

// The runtime bounds what a peer may send by bytes; more than this is no chain that anyone issues.
const maxSent = 16

/** What a peer sent along with its certificate, as far as the runtime tells. */
export function chainAbove(leaf: X509Certificate): readonly X509Certificate[] {
  const sent: X509Certificate[] = []
  for (let next = leaf.issuerCertificate; next !== undefined && sent.length < maxSent; next = next.issuerCertificate) sent.push(next)
  return sent
}

// RFC 5280 asks for no limit; web chains have three or four certificates.
const maxChainLength = 8
// A peer chooses what it sends. Each candidate costs a signature check only where names and key identifiers fit.
const maxSignatureChecks = 64

/**
 * The anchors in which a chain from this certificate can end, over `sent` and the intermediates at hand; `undefined`
 * if there are too many ways to look at.
 *
 * The runtime has verified a chain and does not say where it ended; this search does. It checks signatures and dates,
 * and not what the runtime has checked along its way (authority, path length, name constraints): so it may find an
 * anchor too many and never one too few, and a result counts only together with the runtime's, and only if it is unique.
 */
export function anchorsOf(
  leaf: X509Certificate,
  sent: readonly X509Certificate[],
  trust: Trust,
  now: number,
): readonly Anchor[] | undefined {
  const found = new Set<Anchor>()
  const anchorCertificates = Array.from(trust.anchors.values(), (anchor) => anchor.certificate)
  const candidates = [...anchorCertificates, ...trust.intermediates, ...sent]
  let checks = 0
  let isComplete = true
  const climb = (certificate: X509Certificate, below: readonly string[]): void => {
    if (!isInDate(certificate, now)) return
    const thumbprint = certificateThumbprint(certificate)
    const anchor = trust.anchors.get(thumbprint)
    if (anchor !== undefined) return void found.add(anchor)
    if (below.includes(thumbprint)) return
    for (const candidate of candidates) {
      if (!certificate.checkIssued(candidate)) continue
      isComplete &&= below.length < maxChainLength && ++checks <= maxSignatureChecks
      if (isComplete && certificate.verify(candidate.publicKey)) climb(candidate, [...below, thumbprint])
    }
  }
  climb(leaf, [])
  return isComplete ? [...found] : undefined
}

/** Tells whether a certificate is signed with its own key, and so can be an anchor. */
export function isSelfSigned(certificate: X509Certificate): boolean {
  return certificate.checkIssued(certificate) && certificate.verify(certificate.publicKey)
}

/** How long connections that trust no longer carries stay open: time for an adapter to end a session in the words of its protocol. */
export const graceMs = 1_000
