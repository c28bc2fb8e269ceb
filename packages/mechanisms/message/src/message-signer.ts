import { createPublicKey, generateKeyPairSync, randomUUID, type KeyObject } from 'node:crypto'
import {
  checkOptions,
  ConfigurationError,
  forTargets,
  requireNumber,
  requireText,
  requireTexts,
  systemClock,
  type BoundSource,
  type Clock,
  type RequestBinding,
  type Timer,
} from '@portcullis/core'
import { createSigner, tokenEncrypter, type EncryptionOptions, type JwtSigner, type SigningKey } from '@portcullis/jwt'
import { batchType, claimsOf, envelopeType, sessionType, writeClaims } from './envelope.ts'
import type { Mac } from './mac.ts'
import { maxBatch, merkleTree } from './merkle.ts'
import { groupKeyId, publicText, requireX25519, sessionKey } from './session-key.ts'

/** How messages are signed where one signature each is too slow. Each has its own security argument: ADR 8 and ADR 9. */
export type SigningProfile =
  | {
      /** One signature over up to `maxMessages` (default and bound: 64) that are at hand within `maxDelayMs` (default 5). Every message can be verified alone, by anybody. */
      readonly batch: { readonly maxMessages?: number; readonly maxDelayMs?: number }
      readonly session?: never
    }
  | {
      /** One signature per epoch, and a MAC per message, for consumers who hold the private half of `groupKey` and trust each other: each of them can forge. */
      readonly session: { readonly groupKey: KeyObject; readonly epochMs?: number }
      readonly batch?: never
    }

/** The options of {@link messageSigner}. */
export interface MessageSignerOptions {
  /** Who signs. */
  readonly issuer: string
  /** Default: the issuer itself. */
  readonly subject?: string
  readonly key: SigningKey
  /** Who is meant to read the messages; a consumer under another name refuses them. */
  readonly audience: string | readonly [string, ...string[]]
  /** The headers to sign, by exact name; one that a message does not have is signed as absent. Default: none. */
  readonly headers?: readonly [string, ...string[]]
  /** Default: one signature per message. */
  readonly profile?: SigningProfile
  /**
   * Encrypts each identity for its reader, who gives `decryption`: neither the broker nor who reads along learns who
   * signed. Only for one signature per message. The payload and its place stay readable. Default: none.
   */
  readonly encryption?: EncryptionOptions
  /** The brokers that it signs for, as origins: `kafka://broker:9094`. */
  readonly targets: readonly [string, ...string[]]
  readonly clock?: Clock
}

/**
 * A source of signed identities for messages: made anew for each message, so that caching it does not compile. The
 * producer of an adapter takes it as `identity`.
 *
 * One signature per message costs about 20 µs with ES256, 25 with EdDSA; see {@link SigningProfile} for more.
 */
export function messageSigner(options: MessageSignerOptions): BoundSource {
  checkOptions<MessageSignerOptions>('messageSigner', options, {
    issuer: true,
    subject: true,
    key: true,
    audience: true,
    headers: true,
    profile: true,
    encryption: true,
    targets: true,
    clock: true,
  })
  const { issuer, subject, key, audience, headers, profile, encryption, targets, clock = systemClock } = options
  const check = forTargets('messageSigner', targets)
  const names = headers === undefined ? [] : requireTexts('headers', headers)
  const fixed: Fixed = {
    iss: requireText('issuer', issuer),
    ...(subject !== undefined && { sub: requireText('subject', subject) }),
    aud: typeof audience === 'string' ? requireText('audience', audience) : requireTexts('audience', audience),
  }
  if (profile !== undefined && encryption !== undefined)
    throw new ConfigurationError(
      'ERR_OPTION_INVALID',
      'messageSigner: encryption is for one signature per message, and not with a profile.',
    )
  const signed = sealer(profile, key, fixed, clock)
  if (Object.hasOwn(options, 'encryption') && encryption === undefined)
    throw new ConfigurationError(
      'ERR_OPTION_INVALID',
      'messageSigner: encryption is present and undefined; leave it out, or nothing is hidden.',
    )
  const encrypt = encryption === undefined ? undefined : tokenEncrypter(encryption)
  const seal: Seal = encrypt === undefined ? signed : async (own) => encrypt(await signed(own))
  return async (request) => {
    check(request)
    const { binding } = request
    if (binding.message === undefined)
      throw new ConfigurationError('ERR_OPTION_INVALID', 'messageSigner signs messages; this request is none.')
    return { credential: { kind: 'envelope', carrier: 'message', envelope: await seal(ownClaims(binding, names)) } }
  }
}

/** Who signs, and for whom: what all messages of one signer have in common. */
interface Fixed {
  readonly iss: string
  readonly sub?: string
  readonly aud: string | readonly string[]
}

/** What a message says of itself. */
type Own = Readonly<Record<string, unknown>>

type Seal = (own: Own) => Promise<string>

function ownClaims(binding: RequestBinding, names: readonly string[]): Own {
  return { jti: binding.message?.id ?? randomUUID(), ...claimsOf(binding, names) }
}

function sealer(profile: SigningProfile | undefined, key: SigningKey, fixed: Fixed, clock: Clock): Seal {
  if (profile === undefined) {
    const signer = createSigner({ key, typ: envelopeType })
    return (own) => signer.sign({ ...fixed, iat: clock.now() / 1_000, ...own })
  }
  checkOptions('profile', profile, { batch: true, session: true })
  if ((profile.batch === undefined) === (profile.session === undefined))
    throw new ConfigurationError('ERR_OPTION_INVALID', 'profile is one of batch and session.')
  return profile.batch === undefined ? sessionSealer(profile.session, key, fixed, clock) : batchSealer(profile.batch, key, fixed, clock)
}

interface Waiting {
  readonly leaf: string
  readonly result: PromiseWithResolvers<string>
}

function batchSealer(
  options: { readonly maxMessages?: number; readonly maxDelayMs?: number },
  key: SigningKey,
  fixed: Fixed,
  clock: Clock,
): Seal {
  checkOptions('profile.batch', options, { maxMessages: true, maxDelayMs: true })
  const maxMessages = Math.floor(requireNumber('profile.batch.maxMessages', options.maxMessages ?? maxBatch, { min: 1, max: maxBatch }))
  const maxDelayMs = requireNumber('profile.batch.maxDelayMs', options.maxDelayMs ?? 5, { min: 0, max: 1_000 })
  const signer = createSigner({ key, typ: batchType })
  let waiting: Waiting[] = []
  let timer: Timer | undefined
  const flush = (): void => {
    timer?.cancel()
    timer = undefined
    const members = waiting
    waiting = []
    void signBatch(signer, fixed, clock, members)
  }
  return (own) => {
    const result = Promise.withResolvers<string>()
    waiting.push({ leaf: writeClaims(own), result })
    if (waiting.length >= maxMessages) flush()
    else timer ??= clock.schedule(maxDelayMs, flush)
    return result.promise
  }
}

async function signBatch(signer: JwtSigner, fixed: Fixed, clock: Clock, members: readonly Waiting[]): Promise<void> {
  try {
    const { root, paths } = merkleTree(members.map(({ leaf }) => leaf))
    const token = await signer.sign({ ...fixed, iat: clock.now() / 1_000, root, n: members.length })
    members.forEach(({ leaf, result }, at) => result.resolve(`${token}~${leaf}~${at}~${paths[at] ?? ''}`))
  } catch (error) {
    for (const { result } of members) result.reject(error)
  }
}

// An hour, as long as most access tokens: what a stolen MAC key is good for ends with the epoch.
const longestEpochMs = 3_600_000

function sessionSealer(
  options: { readonly groupKey: KeyObject; readonly epochMs?: number },
  key: SigningKey,
  fixed: Fixed,
  clock: Clock,
): Seal {
  checkOptions('profile.session', options, { groupKey: true, epochMs: true })
  const group = requireX25519('profile.session.groupKey', options.groupKey, 'public')
  const epochMs = requireNumber('profile.session.epochMs', options.epochMs ?? longestEpochMs, { min: 1_000, max: longestEpochMs })
  const signer = createSigner({ key, typ: sessionType })
  let epoch: { readonly fromMs: number; readonly handshake: Promise<string>; readonly key: Mac } | undefined
  const begin = (now: number): NonNullable<typeof epoch> => {
    const { privateKey, publicKey } = generateKeyPairSync('x25519')
    const id = randomUUID()
    const context = { ephemeral: createPublicKey(privateKey), group, issuer: fixed.iss, subject: fixed.sub ?? fixed.iss, epoch: id }
    const claims = { ...fixed, jti: id, iat: now / 1_000, end: (now + epochMs) / 1_000, epk: publicText(publicKey), gk: groupKeyId(group) }
    const handshake = signer.sign(claims)
    handshake.catch(() => (epoch = undefined))
    return { fromMs: now, key: sessionKey(privateKey, group, context), handshake }
  }
  return async (own) => {
    const now = clock.now()
    // A clock that was set back begins a new epoch, too: the old one has not begun yet by it.
    if (epoch === undefined || now >= epoch.fromMs + epochMs || now < epoch.fromMs) epoch = begin(now)
    const claims = writeClaims({ iat: now / 1_000, ...own })
    const tag = epoch.key.tag(claims)
    return `${await epoch.handshake}^${claims}^${tag}`
  }
}
