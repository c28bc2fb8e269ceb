import type { KeyObject } from 'node:crypto'
import {
  authenticator,
  checkOptions,
  ConfigurationError,
  credentialOf,
  notMine,
  refused,
  requireNumber,
  requireText,
  requireTexts,
  scopesOf,
  systemClock,
  UnavailableError,
  vouchForPrincipal,
  type Authenticator,
  type Clock,
  type Principal,
  type Refused,
  type RequestBinding,
  type Verdict,
} from '@portcullis/core'
import type { DecryptionOptions, IssuerOptions } from '@portcullis/jwt'
import { withoutExpiry } from '@portcullis/jwt/danger'
import { opener, type Opened } from './envelope-forms.ts'
import { callerDigest, headersDigest, keyDigest } from './envelope.ts'
import type { MessageErrorCode } from './errors.ts'
import { requireX25519 } from './session-key.ts'
import { messageMemory, type MessageMemory, type Sighting } from './message-memory.ts'

/** A producer, or several behind one name, whose signatures are accepted. */
export interface MessageSigner {
  /** The `iss` of its envelopes, and the issuer of the principal. */
  readonly issuer: string
  readonly keys: IssuerOptions['keys']
  readonly algorithms?: IssuerOptions['algorithms']
  /** The subjects that may sign under this issuer. Default: only the issuer itself. */
  readonly subjects?: readonly [string, ...string[]] | 'any'
  /** What it may do, for `scope(...)`. They come from here and never from the envelope, which the signer writes itself. */
  readonly scopes?: readonly [string, ...string[]]
}

/** The options of {@link signedMessages}. */
export interface SignedMessagesOptions {
  /** The name that this consumer goes by in `aud`. */
  readonly audience: string | readonly [string, ...string[]]
  readonly signers: readonly [MessageSigner, ...MessageSigner[]]
  /**
   * Where the broker stamps no time: how old a message may be, in milliseconds. There is no default, since it bounds
   * replays and the memory of them. Where the broker does stamp it this is still how long identifiers are remembered: a
   * copy that entered the log in time and is read later than this after its original is not recognized.
   */
  readonly maxAgeMs: number
  /** Where the broker stamps the time at which it took the message: how far that may be from the time of signing. Default: 60,000. */
  readonly maxTransitMs?: number
  /** How far the clock of a signer may be ahead. Default: 5,000. */
  readonly clockToleranceMs?: number
  /** Headers that must be among the signed ones. Default: none; what is signed is checked either way. */
  readonly signedHeaders?: readonly [string, ...string[]]
  /** Default: {@link messageMemory}, in this process. */
  readonly memory?: MessageMemory
  /** Appears in explanations and audit events. Default: `signed message`. */
  readonly name?: string
  /**
   * Accepts MAC sessions (ADR 9) with this private X25519 key, which all consumers of one group hold. **Whoever holds it
   * can forge messages of every producer towards the group**, and nothing is proven to third parties. Default: refused.
   */
  readonly sessions?: { readonly groupKey: KeyObject }
  /** Opens identities that were encrypted for this consumer (`encryption` of the signer). Those that were not are taken, too. Default: none are opened. */
  readonly decryption?: DecryptionOptions
  /** Where signatures are verified; see `createVerifier` of `@portcullis/jwt`. */
  readonly verifyOn?: 'threadPool' | 'eventLoop'
  readonly clock?: Clock
}

/** A day: whoever allows more wants a log with the broker's own time. */
const longestAgeMs = 86_400_000

/**
 * The mechanism for consumers: proves who *signed* a message. The principal is the signer, not who connected to the
 * broker and not whom the message speaks of.
 *
 * The envelope covers the message's identifier, its address, payload, key and named headers, the time and the
 * audience. Time is judged where the message entered the log, if the broker says when that was: who reads last week's
 * log gets what was valid then. Not checked: the order of messages, and whether some are missing.
 */
export function signedMessages(options: SignedMessagesOptions): Authenticator {
  checkOptions<SignedMessagesOptions>('signedMessages', options, {
    audience: true,
    signers: true,
    maxAgeMs: true,
    maxTransitMs: true,
    clockToleranceMs: true,
    signedHeaders: true,
    memory: true,
    name: true,
    sessions: true,
    decryption: true,
    verifyOn: true,
    clock: true,
  })
  const { audience, name = 'signed message', clock = systemClock, verifyOn, decryption, memory = messageMemory({ clock }) } = options
  if (!Array.isArray(options.signers) || options.signers.length === 0)
    throw new ConfigurationError('ERR_OPTION_INVALID', 'signers must be a list that is not empty.')
  const signers = new Map(options.signers.map((signer) => [signer.issuer, compileSigner(signer)]))
  const limits: Limits = {
    maxAgeMs: requireNumber('maxAgeMs', options.maxAgeMs, { min: 1, max: longestAgeMs }),
    maxTransitMs: requireNumber('maxTransitMs', options.maxTransitMs ?? 60_000, { min: 1, max: longestAgeMs }),
    toleranceMs: requireNumber('clockToleranceMs', options.clockToleranceMs ?? 5_000, { min: 0, max: 300_000 }),
  }
  const demanded = options.signedHeaders === undefined ? [] : requireTexts('signedHeaders', options.signedHeaders)
  const [first, ...rest] = options.signers.map(({ issuer, keys, algorithms }) => ({
    issuer,
    audience,
    keys,
    // The time is judged against the log below; an envelope has no expiry of its own.
    expiry: withoutExpiry,
    ...(algorithms !== undefined && { algorithms }),
  })) as [IssuerOptions, ...IssuerOptions[]]
  const sessions = options.sessions === undefined ? undefined : requireX25519('sessions.groupKey', options.sessions.groupKey, 'private')
  const open = opener({ issuers: [first, ...rest], sessions, decryption, verifyOn, clock })

  const judge = (opened: Opened, binding: RequestBinding): Verdict | Promise<Verdict> => {
    const envelope = readEnvelope(opened)
    if (envelope === undefined) return refuse('ERR_MESSAGE_CLAIM_INVALID')
    const signer = signers.get(envelope.issuer)
    if (signer === undefined || !signer.accepts(envelope.subject)) return refuse('ERR_MESSAGE_SIGNER')
    const now = clock.now()
    const fault = mismatch(envelope, binding, demanded) ?? untimely(envelope.signedAtMs, binding, limits, now)
    if (fault !== undefined) return refuse(fault)
    const principal = vouchForPrincipal({
      issuer: envelope.issuer,
      subject: envelope.subject,
      scopes: signer.scopes,
      claims: opened.claims,
      revocations: opened.revocations,
    })
    const { position = '', redelivered = false } = binding.message ?? {}
    // Where there is a position it alone tells a redelivery: a replay that was not acknowledged in time is handed out again, too.
    const known = redelivered && position === ''
    // What enters the log beyond this time, or is read then where the broker stamps none, is untimely, and its identifier
    // may be forgotten. What entered it in time and is read later is not: see `maxAgeMs`.
    const until = Math.max(now, envelope.signedAtMs) + Math.max(limits.maxAgeMs, limits.maxTransitMs) + limits.toleranceMs
    const sighting = memory.see(`${envelope.issuer}\n${envelope.id}`, position, until)
    const decide = (seen: Sighting): Verdict => afterSighting(seen, principal, known)
    return sighting instanceof Promise ? sighting.then(decide) : decide(sighting)
  }

  return authenticator(name, (request) => {
    const credential = credentialOf(request.credentials, 'envelope')
    if (credential === undefined) return notMine
    const { binding } = request
    if (binding?.message === undefined) return refuse('ERR_MESSAGE_CLAIM_INVALID')
    const opened = open(credential.envelope)
    const next = (settled: Opened | Refused): Verdict | Promise<Verdict> => ('refused' in settled ? settled : judge(settled, binding))
    return opened instanceof Promise ? opened.then(next) : next(opened)
  })
}

interface Limits {
  readonly maxAgeMs: number
  readonly maxTransitMs: number
  readonly toleranceMs: number
}

interface Envelope {
  readonly issuer: string
  readonly subject: string
  readonly id: string
  readonly signedAtMs: number
  readonly address: string
  readonly payload: string
  readonly key: string | undefined
  readonly caller: string | undefined
  readonly headers: readonly string[]
  readonly headersDigest: string | undefined
}

// More header names than this are not named by an application.
const maxSignedHeaders = 64

function readEnvelope({ claims }: Opened): Envelope | undefined {
  const { iss, sub = iss, jti, iat, dst, dig, kdg, cdg, hdr = [], hdg } = claims
  if (!isText(iss) || !isText(sub) || !isText(jti) || !isText(dst) || !isText(dig) || typeof iat !== 'number') return undefined
  if (!isTextOrAbsent(kdg) || !isTextOrAbsent(cdg) || !isTextOrAbsent(hdg) || !isNames(hdr)) return undefined
  if (hdr.length > 0 !== (hdg !== undefined)) return undefined
  return {
    issuer: iss,
    subject: sub,
    id: jti,
    signedAtMs: iat * 1_000,
    address: dst,
    payload: dig,
    key: kdg,
    caller: cdg,
    headers: hdr,
    headersDigest: hdg,
  }
}

function isText(part: unknown): part is string {
  return typeof part === 'string' && part !== ''
}

function isTextOrAbsent(part: unknown): part is string | undefined {
  return part === undefined || isText(part)
}

function isNames(part: unknown): part is readonly string[] {
  return Array.isArray(part) && part.length <= maxSignedHeaders && part.every((name) => typeof name === 'string')
}

/** What of the message is not as it was signed. These are public facts under a signature, so plain comparison does. */
function mismatch(envelope: Envelope, binding: RequestBinding, demanded: readonly string[]): MessageErrorCode | undefined {
  if (envelope.address !== binding.uri) return 'ERR_MESSAGE_ADDRESS'
  if (envelope.payload !== binding.contentDigest) return 'ERR_MESSAGE_PAYLOAD'
  if (envelope.key !== keyDigest(binding)) return 'ERR_MESSAGE_KEY'
  if (envelope.caller !== callerDigest(binding)) return 'ERR_MESSAGE_CALLER'
  if (binding.message?.id !== undefined && binding.message.id !== envelope.id) return 'ERR_MESSAGE_ID'
  if (!demanded.every((name) => envelope.headers.includes(name))) return 'ERR_MESSAGE_HEADERS'
  if (envelope.headersDigest !== undefined && envelope.headersDigest !== headersDigest(binding, envelope.headers))
    return 'ERR_MESSAGE_HEADERS'
  return undefined
}

function untimely(
  signedAtMs: number,
  { message }: RequestBinding,
  { maxAgeMs, maxTransitMs, toleranceMs }: Limits,
  now: number,
): MessageErrorCode | undefined {
  const [reference, allowedMs] = message?.appendedAtMs === undefined ? [now, maxAgeMs] : [message.appendedAtMs, maxTransitMs]
  const age = reference - signedAtMs
  return age <= allowedMs && age >= -toleranceMs ? undefined : 'ERR_MESSAGE_UNTIMELY'
}

function afterSighting(sighting: Sighting, principal: Principal, redelivered: boolean): Verdict {
  switch (sighting) {
    case 'first':
    case 'again':
      return principal
    case 'elsewhere':
      return redelivered ? principal : refuse('ERR_MESSAGE_REPLAYED')
    case 'done':
      return refuse('ERR_MESSAGE_DONE')
    case 'full':
      throw new UnavailableError<MessageErrorCode>('ERR_MESSAGE_MEMORY_FULL', {
        message: 'The memory of message identifiers is full; raise its bound or lower maxAgeMs.',
        reason: 'overload',
        retryAfterMs: 1_000,
      })
  }
}

interface CompiledSigner {
  readonly scopes: ReadonlySet<string>
  accepts(subject: string): boolean
}

function compileSigner(signer: MessageSigner): CompiledSigner {
  checkOptions<MessageSigner>('A signer', signer, { issuer: true, keys: true, algorithms: true, subjects: true, scopes: true })
  const { issuer, subjects, scopes } = signer
  requireText('The issuer of a signer', issuer)
  const allowed = subjects === undefined ? new Set([issuer]) : subjects === 'any' ? undefined : new Set(requireTexts('subjects', subjects))
  return {
    scopes: scopesOf(scopes === undefined ? [] : requireTexts('scopes', scopes)),
    accepts: (subject) => allowed === undefined || allowed.has(subject),
  }
}

function refuse(code: MessageErrorCode): Refused {
  return refused(code)
}
