import type { X509Certificate } from 'node:crypto'
import type { TLSSocket } from 'node:tls'

import { ConfigurationError, type PeerCertificate } from '@portcullis/core'
import { certificateThumbprint, keyUsages, parseCertificate } from '@portcullis/crypto'

import { stateOf, type BundleState, type ServerTlsBundle } from './bundle.ts'
import { TlsPeerError, type PeerRefusalCode } from './errors.ts'
import { anchorsOf, chainAbove, isInDate, type Anchor } from './trust.ts'

/** What became of the certificate of one connection: judged once, for a connection has one handshake. */
export type Judgement = { readonly certificate: PeerCertificate | undefined } | { readonly refused: TlsPeerError }

// On the socket itself, so that it is found through the wrappers that HTTP/2 puts around a socket too.
const judgementKey = Symbol('portcullis.tls.peer')
type Judged = TLSSocket & { [judgementKey]?: { readonly state: BundleState; readonly judgement: Judgement } }

/**
 * The certificate that the client of this connection has presented, if its chain ends in a trust anchor of the bundle;
 * `undefined` if it presented none. Looked at once for each connection; later calls cost two look-ups.
 *
 * It takes a certificate object *and* a verified chain: `socket.authorized` alone is true on some runtimes for a
 * resumed session without any certificate (nodejs/node#35317). Dates are looked at again, also of a resumed session,
 * and the certificate must name client authentication among its usages (RFC 5280 section 4.2.1.12).
 *
 * A certificate that was presented and does not hold is never "none": the connection is destroyed, and this throws
 * one of the codes `ERR_TLS_PEER_*`; so it does if none was presented where the bundle requires one, and after the
 * trust anchor left the bundle. Revocation lists are not looked at.
 */
export function peerCertificateOf(socket: TLSSocket, bundle: ServerTlsBundle): PeerCertificate | undefined {
  const state = stateOf('peerCertificateOf()', bundle, 'server')
  const judgement = judge(socket, state)
  if ('certificate' in judgement) {
    const { certificate } = judgement
    if (certificate === undefined || state.generation.trust.anchors.has(certificate.anchor)) return certificate
  }
  end(socket)
  throw 'refused' in judgement ? judgement.refused : new TlsPeerError('ERR_TLS_PEER_UNTRUSTED')
}

/** The judgement on a connection, made if it is asked for the first time. */
export function judge(socket: TLSSocket, state: BundleState): Judgement {
  const known = (socket as Judged)[judgementKey]
  if (known?.state === state) return known.judgement
  if (typeof socket?.getPeerX509Certificate !== 'function')
    throw new ConfigurationError('ERR_OPTION_INVALID', 'A connection without TLS has no certificate to ask for.')
  const judgement = judgeHandshake(socket, state)
  ;(socket as Judged)[judgementKey] = { state, judgement }
  return judgement
}

function judgeHandshake(socket: TLSSocket, state: BundleState): Judgement {
  if (state.settings.clientCertificates === 'none') return { certificate: undefined }
  // A closed socket has forgotten its certificate, and one that still negotiates has none yet.
  if (socket.destroyed || socket.getProtocol() === null) return refuse('ERR_TLS_PEER_GONE')
  const leaf = socket.getPeerX509Certificate()
  if (leaf === undefined)
    return state.settings.clientCertificates === 'require' ? refuse('ERR_TLS_PEER_MISSING') : { certificate: undefined }
  if (!isInDate(leaf, state.settings.clock.now())) return refuse('ERR_TLS_PEER_OUT_OF_DATE', socket.authorizationError)
  if (!socket.authorized) {
    // OpenSSL's word for a wrong extended key usage or a certificate that may not sign.
    return refuse(
      String(socket.authorizationError) === 'INVALID_PURPOSE' ? 'ERR_TLS_PEER_USAGE' : 'ERR_TLS_PEER_UNTRUSTED',
      socket.authorizationError,
    )
  }
  try {
    const { extendedKeyUsages } = parseCertificate(leaf)
    if (extendedKeyUsages?.includes(keyUsages.clientAuth) !== true) return refuse('ERR_TLS_PEER_USAGE')
  } catch (cause) {
    return refuse('ERR_TLS_PEER_MALFORMED', cause)
  }
  const anchor = anchorOf(socket, leaf, state)
  if (typeof anchor === 'string') return refuse(anchor)
  return {
    certificate: Object.freeze({
      der: leaf.raw,
      thumbprint: certificateThumbprint(leaf),
      anchor: anchor.thumbprint,
      notAfter: leaf.validToDate,
    }),
  }
}

/** The one anchor in which the verified chain of this connection ended, or why it cannot be told. */
function anchorOf(socket: TLSSocket, leaf: X509Certificate, state: BundleState): Anchor | PeerRefusalCode {
  const { trust, sessionContext } = state.generation
  const found = anchorsOf(leaf, intermediatesOf(leaf, state), trust, state.settings.clock.now())
  if (found === undefined) return 'ERR_TLS_PEER_AMBIGUOUS'
  const [first] = found
  if (first !== undefined) return found.every((anchor) => anchor.name === first.name) ? first : 'ERR_TLS_PEER_AMBIGUOUS'
  // A resumed session holds the leaf only, and some runtimes forget the rest at once (nodejs/node#65579). If there is
  // a single anchor, the chain that was verified can have ended nowhere else, provided that it was verified against
  // this trust: the session names the context that it was made in.
  const [only, ...others] = trust.anchors.values()
  if (
    only === undefined ||
    socket.getSession()?.includes(sessionContext) !== true ||
    !isInDate(only.certificate, state.settings.clock.now())
  )
    return 'ERR_TLS_PEER_UNTRUSTED'
  return others.length === 0 ? only : 'ERR_TLS_PEER_CHAIN_HIDDEN'
}

// What a resumed session does not tell is remembered from its first handshake. A thousand chains are a few megabytes.
const maxRemembered = 1000
const remembered = new WeakMap<BundleState, Map<string, readonly X509Certificate[]>>()

function intermediatesOf(leaf: X509Certificate, state: BundleState): readonly X509Certificate[] {
  let chains = remembered.get(state)
  if (chains === undefined) remembered.set(state, (chains = new Map()))
  const key = certificateThumbprint(leaf)
  const sent = chainAbove(leaf)
  if (sent.length === 0) return chains.get(key) ?? []
  chains.delete(key)
  chains.set(key, sent)
  const [oldest] = chains.keys()
  if (chains.size > maxRemembered && oldest !== undefined) chains.delete(oldest)
  return sent
}

function refuse(code: PeerRefusalCode, cause?: unknown): Judgement {
  return { refused: new TlsPeerError(code, cause) }
}

function end(socket: TLSSocket): void {
  try {
    socket.destroy()
  } catch {
    // HTTP/2 forbids it through its wrapper, and `attach` has destroyed the socket below it already.
  }
}
