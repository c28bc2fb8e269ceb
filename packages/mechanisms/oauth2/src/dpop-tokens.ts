import {
  authenticator,
  checkOptions,
  ConfigurationError,
  credentialOf,
  isPrincipal,
  notMine,
  refused,
  requireFunction,
  requireNumber,
  requireText,
  requireTexts,
  type AccessRequest,
  type AuthenticationContext,
  type Authenticator,
  type Credential,
  type NotMine,
  type Principal,
  type Proven,
  type Refused,
} from '@portcullis/core'
import { digest, signatureAlgorithms, type SignatureAlgorithm } from '@portcullis/crypto'
import type { JwtClaims } from '@portcullis/jwt'
import type { DpopNonces } from './dpop-nonces.ts'
import { checkProof, readProof, type DpopProof, type ProofFault } from './dpop-proof.ts'
import { tokenHash } from './dpop-prover.ts'
import { mistake, type OAuth2ErrorCode } from './errors.ts'
import { memoryReplayStore, type ReplayStore } from './replay-store.ts'
import type { TokenJudge } from './token-judge.ts'

/** How {@link dpopTokens} is set up. */
export interface DpopTokensOptions<C extends JwtClaims = JwtClaims> {
  /** Judges the access token: `accessTokenJudge()` of `@portcullis/jwt`, or `introspectionJudge()`. */
  readonly tokens: TokenJudge<C>
  /** What was used before. Default: {@link memoryReplayStore}, which one process alone can see. */
  readonly replays?: ReplayStore
  /** Makes proofs carry a nonce of this service: `dpopNonces()`. Default: none is asked for. */
  readonly nonces?: DpopNonces
  /** How old a proof may be, in seconds, from 1 to 300. Default: 60 (RFC 9449 section 11.1). */
  readonly maxAgeSeconds?: number
  /** How far in the future a proof may have been made, in seconds, from 0 to 60. Default: 5. */
  readonly clockToleranceSeconds?: number
  /** Default: ES256, ES384, ES512, EdDSA, Ed25519, PS256, PS384, PS512, RS256. */
  readonly algorithms?: readonly [SignatureAlgorithm, ...SignatureAlgorithm[]]
  /** Appears in explanations and audit events. Default: `dpop`. */
  readonly name?: string
  /** The `realm` of the challenge. Default: none. */
  readonly realm?: string
  /** Where the metadata of this resource stand, told in the challenge (RFC 9728 section 5.1). */
  readonly resourceMetadata?: string
}

const usualAlgorithms = [
  'ES256',
  'ES384',
  'ES512',
  'EdDSA',
  'Ed25519',
  'PS256',
  'PS384',
  'PS512',
  'RS256',
] as const satisfies readonly SignatureAlgorithm[]

/**
 * The DPoP mechanism: takes access tokens that are bound to a key, together with the proof that the peer holds that key
 * (RFC 9449). Plain bearer tokens it leaves to others.
 *
 * A proof counts once, for the very method and address that the listener saw (its configured origin, never a header),
 * for this token, and for a minute. Beside the codes of the judge it refuses with `ERR_DPOP_PROOF_*`, `ERR_DPOP_NONCE`
 * and `ERR_DPOP_KEY`; `ERR_DPOP_REPLAYS_FULL` is overload, `ERR_DPOP_REPLAYS_UNAVAILABLE` an outage. A listener that
 * describes no binding cannot use it: `ERR_DPOP_BINDING_MISSING`, a fault of ours.
 */
export function dpopTokens<C extends JwtClaims = JwtClaims>(options: DpopTokensOptions<C>): Authenticator<Principal<C>> {
  checkOptions<DpopTokensOptions<C>>('dpopTokens', options, {
    tokens: true,
    replays: true,
    nonces: true,
    maxAgeSeconds: true,
    clockToleranceSeconds: true,
    algorithms: true,
    name: true,
    realm: true,
    resourceMetadata: true,
  })
  for (const key of ['replays', 'nonces'] as const)
    if (Object.hasOwn(options, key) && options[key] === undefined)
      throw mistake('ERR_OPTION_INVALID', `dpopTokens ${key} is present and undefined.`)
  const { name = 'dpop', realm, resourceMetadata, algorithms = usualAlgorithms } = options
  for (const algorithm of requireTexts('dpopTokens algorithms', algorithms))
    if (!(signatureAlgorithms as readonly string[]).includes(algorithm))
      throw mistake('ERR_OPTION_INVALID', `dpopTokens algorithms: "${algorithm}" is no algorithm of public keys.`)
  const check = new ProofCheck<C>(options, algorithms)
  return authenticator<Principal<C>>(
    name,
    (request, context) => {
      const credential = credentialOf(request.credentials, 'dpop')
      return credential === undefined ? notMine : check.judge(credential, request, context)
    },
    [
      {
        scheme: 'DPoP',
        parameters: {
          ...(realm !== undefined && { realm: requireText('dpopTokens realm', realm) }),
          algs: algorithms.join(' '),
          ...(resourceMetadata !== undefined && { resource_metadata: requireText('dpopTokens resourceMetadata', resourceMetadata) }),
        },
      },
    ],
  )
}

type Outcome<C extends JwtClaims> = Proven<Principal<C>> | NotMine | Refused

class ProofCheck<C extends JwtClaims> {
  readonly #tokens: TokenJudge<C>
  readonly #replays: ReplayStore
  readonly #nonces: DpopNonces | undefined
  readonly #algorithms: ReadonlySet<string>
  readonly #maxAgeMs: number
  readonly #toleranceMs: number

  constructor(options: DpopTokensOptions<C>, algorithms: readonly string[]) {
    const { tokens, replays = memoryReplayStore(), nonces, maxAgeSeconds = 60, clockToleranceSeconds = 5 } = options
    this.#tokens = requireFunction('dpopTokens tokens', tokens)
    if (typeof replays !== 'object' || !('putIfAbsent' in replays))
      throw mistake('ERR_OPTION_INVALID', 'dpopTokens replays must be a replay store.')
    this.#replays = replays
    this.#nonces = nonces
    this.#algorithms = new Set(algorithms)
    this.#maxAgeMs = requireNumber('dpopTokens maxAgeSeconds', maxAgeSeconds, { min: 1, max: 300 }) * 1000
    this.#toleranceMs = requireNumber('dpopTokens clockToleranceSeconds', clockToleranceSeconds, { min: 0, max: 60 }) * 1000
  }

  async judge(
    credential: Extract<Credential, { readonly kind: 'dpop' }>,
    request: AccessRequest,
    context: AuthenticationContext,
  ): Promise<Outcome<C>> {
    const { binding } = request
    if (binding === undefined)
      throw new ConfigurationError<OAuth2ErrorCode>(
        'ERR_DPOP_BINDING_MISSING',
        'The listener describes no binding, so DPoP proofs cannot be matched here.',
      )
    const proof = readProof(credential.proof, this.#algorithms)
    if (typeof proof === 'string') return faulty(proof)
    const nowMs = context.clock.now()
    const expected = { tokenHash: tokenHash(credential.token.reveal()), nowMs, maxAgeMs: this.#maxAgeMs, toleranceMs: this.#toleranceMs }
    const fault = checkProof(proof, binding, expected)
    if (fault !== undefined) return faulty(fault)
    const nonce = this.#nonces?.current(nowMs)
    if (nonce !== undefined && !this.#hasNonce(proof, nowMs))
      return refused('ERR_DPOP_NONCE', { advice: { error: 'use_dpop_nonce', nonce } })
    if (!(await proof.isSigned())) return faulty('ERR_DPOP_PROOF_SIGNATURE')
    const verdict = await this.#tokens(credential, request, context)
    if (!isPrincipal(verdict)) return verdict
    // RFC 9449 section 7.1: a token that is bound to nothing is no DPoP token, whatever comes along with it.
    if (verdict.confirmation?.['jkt'] !== proof.thumbprint) return refused('ERR_DPOP_KEY')
    // Last, so that only who may come in takes up room.
    // A store of one's own, in plain JavaScript, may answer anything.
    const isFirst: unknown = await this.#replays.putIfAbsent(
      digest('sha256', JSON.stringify([proof.thumbprint, proof.claims.jti]), 'base64url'),
      {
        nowMs,
        expiresAtMs: proof.claims.iat * 1000 + this.#maxAgeMs + 1,
      },
    )
    if (isFirst !== true) return faulty('ERR_DPOP_PROOF_REPLAYED')
    return {
      proven: verdict,
      possession: { jkt: proof.thumbprint },
      // The next one in time, so that a client never meets a refusal (RFC 9449 section 8.2).
      ...(nonce !== undefined && proof.claims['nonce'] !== nonce && { advice: { nonce } }),
    }
  }

  #hasNonce({ claims }: DpopProof, nowMs: number): boolean {
    const given = claims['nonce']
    return typeof given === 'string' && this.#nonces?.accepts(given, nowMs) === true
  }
}

function faulty(code: ProofFault): Refused {
  return refused(code, { advice: { error: 'invalid_dpop_proof' } })
}
