import { createPublicKey, type KeyObject } from 'node:crypto'
import { refused, type Clock, type Refused, type Revocation } from '@portcullis/core'
import {
  createVerifier,
  type DecryptionOptions,
  type IssuerOptions,
  type VerifiedJwt,
  type Verifier,
  type VerifierSettings,
} from '@portcullis/jwt'
import { batchType, envelopeType, readClaims, sessionType } from './envelope.ts'
import type { MessageErrorCode } from './errors.ts'
import type { Mac } from './mac.ts'
import { BatchProof, maxBatch } from './merkle.ts'
import { groupKeyId, publicFrom, sessionKey } from './session-key.ts'
import { SignedOnce, type Known } from './signed-once.ts'

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
  /** Opens single envelopes that are encrypted. */
  readonly decryption: DecryptionOptions | undefined
  readonly verifyOn: 'threadPool' | 'eventLoop' | undefined
  readonly clock: Clock
}

// An envelope is some hundred characters; a batch or session carries a JWS, a leaf and a path more.
const maxEnvelopeLength = 16_384

/** Opens envelopes of all three forms: `a.b.c`; `a.b.c~leaf~index~path` (ADR 8); `a.b.c^claims^tag` (ADR 9). */
export function opener(options: OpenerOptions): (envelope: string) => Opened | Refused | Promise<Opened | Refused> {
  const { sessions, decryption, verifyOn, clock } = options
  const verifierOf = (typ: string, more: Pick<VerifierSettings, 'tokenCache' | 'decryption'>): Verifier => {
    const [first, ...rest] = options.issuers
    return createVerifier({
      issuers: [{ ...first, typ }, ...rest.map((row) => ({ ...row, typ }))],
      ...more,
      clock,
      ...(verifyOn && { verifyOn }),
    })
  }
  // With a cache, equal tokens at the same time are verified once. It needs no room: SignedOnce remembers.
  const shared = { tokenCache: { maxEntries: 1 } }
  const single = verifierOf(envelopeType, { tokenCache: 'none', ...(decryption && { decryption }) })
  const batches = new SignedOnce(verifierOf(batchType, shared), proofOf, clock)
  const handshakes = sessions === undefined ? undefined : new SignedOnce(verifierOf(sessionType, shared), sessionReader(sessions), clock)

  return (envelope) => {
    if (envelope.length > maxEnvelopeLength) return refuse('ERR_MESSAGE_CLAIM_INVALID')
    // Neither mark can stand in a token, so whichever is there tells the form. One part more than it has shows that there are more.
    if (envelope.includes('~')) {
      const parts = envelope.split('~', 5)
      return after(batches.open(parts[0] ?? ''), openBatch, parts)
    }
    if (!envelope.includes('^')) return single.verify(envelope)
    if (handshakes === undefined) return refuse('ERR_MESSAGE_SESSION')
    const parts = envelope.split('^', 4)
    return after(handshakes.open(parts[0] ?? ''), openSession, parts)
  }
}

type Open<T> = (known: Known<T>, parts: readonly string[]) => Opened | Refused

function after<T>(
  known: Known<T> | Refused | Promise<Known<T> | Refused>,
  open: Open<T>,
  parts: readonly string[],
): Opened | Refused | Promise<Opened | Refused> {
  if (known instanceof Promise) return known.then((settled) => ('refused' in settled ? settled : open(settled, parts)))
  return 'refused' in known ? known : open(known, parts)
}

function proofOf({ claims }: VerifiedJwt): BatchProof | undefined {
  const { root, n } = claims as Readonly<Record<string, unknown>>
  return typeof root === 'string' && Number.isInteger(n) && Number(n) >= 1 && Number(n) <= maxBatch
    ? new BatchProof(root, Number(n))
    : undefined
}

function openBatch({ verified, content: proof }: Known<BatchProof | undefined>, parts: readonly string[]): Opened | Refused {
  const [, leaf = '', index = '', path = ''] = parts
  const place = Number(index)
  // A number has one spelling: no zeros in front, no other signs.
  if (proof === undefined || parts.length !== 4 || String(place) !== index) return refuse('ERR_MESSAGE_CLAIM_INVALID')
  if (!proof.accepts(leaf, place, path)) return refuse('ERR_MESSAGE_BATCH')
  const opened = together(verified, leaf)
  // The time of a batch is that of its signature, whatever a leaf says.
  if (!('refused' in opened)) opened.claims['iat'] = verified.claims.iat
  return opened
}

/** Derives the key of a session from its verified handshake. */
function sessionReader(privateKey: KeyObject): (handshake: VerifiedJwt) => Mac | undefined {
  const group = createPublicKey(privateKey)
  const id = groupKeyId(group)
  return ({ claims }) => {
    const { iss, sub = iss, jti, epk, gk } = claims as Readonly<Record<string, unknown>>
    if (gk !== id || typeof epk !== 'string' || typeof iss !== 'string' || typeof sub !== 'string' || typeof jti !== 'string')
      return undefined
    const ephemeral = publicFrom(epk)
    if (ephemeral === undefined) return undefined
    try {
      return sessionKey(privateKey, ephemeral, { ephemeral, group, issuer: iss, subject: sub, epoch: jti })
    } catch {
      return undefined
    }
  }
}

function openSession({ verified, content: key }: Known<Mac | undefined>, parts: readonly string[]): Opened | Refused {
  const [, claims = '', tag = ''] = parts
  if (parts.length !== 3 || key?.verify(claims, tag) !== true) return refuse('ERR_MESSAGE_SESSION')
  const opened = together(verified, claims)
  if ('refused' in opened) return opened
  const { iat: from, end } = verified.claims as Readonly<Record<string, unknown>>
  const { iat } = opened.claims
  if (typeof iat !== 'number') return refuse('ERR_MESSAGE_CLAIM_INVALID')
  // The message's own time must lie in the epoch; a second's slack for clocks that are read one after the other.
  return typeof from === 'number' && typeof end === 'number' && iat >= from - 1 && iat <= end ? opened : refuse('ERR_MESSAGE_SESSION')
}

interface Completed extends Opened {
  readonly claims: Record<string, unknown>
}

/** What was signed for all messages, and what this one says of itself; who signed and for whom stands in the first alone. */
function together({ claims: signed, revocations }: VerifiedJwt, own: string): Completed | Refused {
  const claims = readClaims(own)
  if (claims === undefined) return refuse('ERR_MESSAGE_CLAIM_INVALID')
  const { iss, sub = iss, aud } = signed
  // The object is ours alone, so it is completed in place; what was signed for all wins.
  claims['iss'] = iss
  claims['sub'] = sub
  claims['aud'] = aud
  return { claims, revocations }
}

function refuse(code: MessageErrorCode): Refused {
  return refused(code)
}
