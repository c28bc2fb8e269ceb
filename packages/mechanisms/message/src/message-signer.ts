import { randomUUID } from 'node:crypto'
import {
  checkOptions,
  ConfigurationError,
  forTargets,
  requireText,
  requireTexts,
  systemClock,
  type BoundSource,
  type Clock,
} from '@portcullis/core'
import { createSigner, type SigningKey } from '@portcullis/jwt'
import { claimsOf, envelopeType } from './envelope.ts'

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
  /** The brokers that it signs for, as origins: `kafka://broker:9094`. */
  readonly targets: readonly [string, ...string[]]
  readonly clock?: Clock
}

/**
 * A source of signed identities for messages: made anew for each message, so that caching it does not compile. The
 * producer of an adapter takes it as `identity`.
 *
 * One signature per message: about 20 µs with ES256, 25 with EdDSA.
 */
export function messageSigner(options: MessageSignerOptions): BoundSource {
  checkOptions<MessageSignerOptions>('messageSigner', options, {
    issuer: true,
    subject: true,
    key: true,
    audience: true,
    headers: true,
    targets: true,
    clock: true,
  })
  const { issuer, subject, key, audience, headers, targets, clock = systemClock } = options
  const check = forTargets('messageSigner', targets)
  const names = headers === undefined ? [] : requireTexts('headers', headers)
  const fixed = {
    iss: requireText('issuer', issuer),
    ...(subject !== undefined && { sub: requireText('subject', subject) }),
    aud: typeof audience === 'string' ? requireText('audience', audience) : requireTexts('audience', audience),
  }
  const signer = createSigner({ key, typ: envelopeType })
  return async (request) => {
    check(request)
    const { binding } = request
    if (binding.message === undefined)
      throw new ConfigurationError('ERR_OPTION_INVALID', 'messageSigner signs messages; this request is none.')
    const claims = { ...fixed, iat: clock.now() / 1_000, jti: binding.message.id ?? randomUUID(), ...claimsOf(binding, names) }
    return { credential: { kind: 'envelope', carrier: 'message', envelope: await signer.sign(claims) } }
  }
}
