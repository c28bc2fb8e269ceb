import { createPublicKey, type KeyObject } from 'node:crypto'
import { refused, type Clock, type Refused, type Revocation } from '@portcullis/core'
import { verifyHmac } from '@portcullis/crypto'
import { createVerifier, type IssuerOptions, type VerifiedJwt, type Verifier } from '@portcullis/jwt'
import { batchType, envelopeType, sessionType } from './envelope.ts'
import type { MessageErrorCode } from './errors.ts'
import { rootOf } from './merkle.ts'
import { groupKeyId, publicFrom, sessionKey } from './session-key.ts'

/** What an envelope of any form says, once its signature, path or tag was checked. */
export interface Opened {
  readonly claims: Readonly<Record<string, unknown>>
  readonly revocations: readonly Revocation[]
}

/** How envelopes are opened. */
export interface OpenerOptions {
  /** The signers, without the type. */
  readonly issuers: readonly [Omit<IssuerOptions, 'typ'>, ...Omit<IssuerOptions, 'typ'>[]]
  /** The group's private key, where sessions are accepted. */
  readonly sessions: KeyObject | undefined
  readonly verifyOn: 'threadPool' | 'eventLoop' | undefined
  readonly clock: Clock
}

// An envelope is some hundred characters; a batch or session carries a JWS, a leaf and a path more.
const maxEnvelopeLength = 16_384
// Handshakes and batch signatures that are remembered: a few per producer, at some kilobytes each.
const maxRemembered = 1_000

/** Opens envelopes of all three forms: `a.b.c`; `a.b.c~leaf~index~path` (ADR 8); `a.b.c^claims^tag` (ADR 9). */
export function opener(options: OpenerOptions): (envelope: string) => Opened | Refused | Promise<Opened | Refused> {
  const { sessions, verifyOn, clock } = options
  const verifierOf = (typ: string, remembered: number): Verifier => {
    const [first, ...rest] = options.issuers
    const tokenCache = remembered === 0 ? ('none' as const) : { maxEntries: remembered }
    return createVerifier({
      issuers: [{ ...first, typ }, ...rest.map((row) => ({ ...row, typ }))],
      tokenCache,
      clock,
      ...(verifyOn && { verifyOn }),
    })
  }
  const single = verifierOf(envelopeType, 0)
  const batch = verifierOf(batchType, maxRemembered)
  const session = sessions === undefined ? undefined : { verifier: verifierOf(sessionType, maxRemembered), open: sessionOpener(sessions) }

  return (envelope) => {
    if (envelope.length > maxEnvelopeLength) return refuse('ERR_MESSAGE_CLAIM_INVALID')
    const mark = /[~^]/.exec(envelope)
    if (mark === null) return after(single.verify(envelope), ({ claims, revocations }) => ({ claims, revocations }))
    const token = envelope.slice(0, mark.index)
    const parts = envelope.slice(mark.index + 1).split(mark[0])
    if (mark[0] === '~') return after(batch.verify(token), (verified) => openBatch(verified, parts))
    if (session === undefined) return refuse('ERR_MESSAGE_SESSION')
    return after(session.verifier.verify(token), (verified) => session.open(verified, parts))
  }
}

type Verified = ReturnType<Verifier['verify']>

function after(verified: Verified, open: (verified: VerifiedJwt) => Opened | Refused): Opened | Refused | Promise<Opened | Refused> {
  if (verified instanceof Promise) return verified.then((settled) => ('refused' in settled ? settled : open(settled)))
  return 'refused' in verified ? verified : open(verified)
}

function openBatch({ claims, revocations }: VerifiedJwt, parts: readonly string[]): Opened | Refused {
  const [leaf = '', index = '', path = ''] = parts
  const { root, n } = claims as Readonly<Record<string, unknown>>
  if (parts.length !== 3 || typeof root !== 'string' || typeof n !== 'number' || !/^(?:0|[1-9]\d?)$/.test(index))
    return refuse('ERR_MESSAGE_CLAIM_INVALID')
  if (rootOf(leaf, Number(index), n, path) !== root) return refuse('ERR_MESSAGE_BATCH')
  return together(claims, leaf, revocations)
}

/** Sessions by their verified handshake: as long as the verifier remembers it, its key is not derived again. */
function sessionOpener(privateKey: KeyObject): (handshake: VerifiedJwt, parts: readonly string[]) => Opened | Refused {
  const group = createPublicKey(privateKey)
  const id = groupKeyId(group)
  const keys = new WeakMap<VerifiedJwt, KeyObject>()
  const derive = (handshake: VerifiedJwt): KeyObject | undefined => {
    const { iss, sub = iss, jti, epk, gk } = handshake.claims as Readonly<Record<string, unknown>>
    if (gk !== id || typeof epk !== 'string' || typeof iss !== 'string' || typeof sub !== 'string' || typeof jti !== 'string')
      return undefined
    const ephemeral = publicFrom(epk)
    if (ephemeral === undefined) return undefined
    try {
      const key = sessionKey(privateKey, ephemeral, { ephemeral, group, issuer: iss, subject: sub, epoch: jti })
      keys.set(handshake, key)
      return key
    } catch {
      return undefined
    }
  }
  return (handshake, parts) => {
    const [claims = '', tag = ''] = parts
    const key = keys.get(handshake) ?? derive(handshake)
    if (parts.length !== 2 || key === undefined || !verifyHmac('sha256', key, claims, Buffer.from(tag, 'base64url')))
      return refuse('ERR_MESSAGE_SESSION')
    const opened = together(handshake.claims, claims, handshake.revocations)
    if ('refused' in opened) return opened
    const { iat: from, end } = handshake.claims as Readonly<Record<string, unknown>>
    const { iat } = opened.claims
    // The message's own time must lie in the epoch; a second's slack for clocks that are read one after the other.
    return typeof iat === 'number' && typeof from === 'number' && typeof end === 'number' && iat >= from - 1 && iat <= end
      ? opened
      : refuse('ERR_MESSAGE_SESSION')
  }
}

/** What was signed for all messages, and what this one says of itself; who signed and for whom stands in the first alone. */
function together(signed: VerifiedJwt['claims'], own: string, revocations: readonly Revocation[]): Opened | Refused {
  let claims: unknown
  try {
    claims = JSON.parse(Buffer.from(own, 'base64url').toString('utf8'))
  } catch {
    return refuse('ERR_MESSAGE_CLAIM_INVALID')
  }
  if (typeof claims !== 'object' || claims === null || Array.isArray(claims)) return refuse('ERR_MESSAGE_CLAIM_INVALID')
  const { iss, sub = iss, aud, iat } = signed as Readonly<Record<string, unknown>>
  // The object is ours alone, so it is completed in place; what was signed for all wins.
  return { claims: Object.assign(claims, { iss, sub, aud, ...('iat' in claims ? undefined : { iat }) }), revocations }
}

function refuse(code: MessageErrorCode): Refused {
  return refused(code)
}
