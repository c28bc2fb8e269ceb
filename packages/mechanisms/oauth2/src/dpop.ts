import { checkOptions, originOf, requireFunction, systemClock, type BoundSource, type Clock, type Credential } from '@portcullis/core'
import type { InlinePrivateKeySource } from '@portcullis/crypto'
import { decodeUnverified, type Algorithm } from '@portcullis/jwt'
import { dpopProver } from './dpop-prover.ts'
import { bind, type TokenSource } from './token-source.ts'

/** How {@link dpop} is set up. */
export interface DpopOptions {
  /** The key that the tokens are bound to. Default: a P-256 key that lives as long as the process. */
  readonly key?: InlinePrivateKeySource
  /** Default: the first algorithm of the key's curve or type. */
  readonly algorithm?: Algorithm
  readonly clock?: Clock
}

/**
 * Binds the tokens of a source to a key (RFC 9449): the authorization server is shown the key when a token is asked
 * for, and each request carries a proof for its method, its address and that token. Whoever steals the token can do
 * nothing with it.
 *
 * A nonce that the target gave goes into the next proof; a refusal that only asks for one costs no new token. Rejects
 * with `ERR_OAUTH_TOKEN_TYPE` where the authorization server does not bind its tokens, and as the source does.
 */
export function dpop(source: TokenSource, options: DpopOptions = {}): BoundSource {
  checkOptions<DpopOptions>('dpop', options, { key: true, algorithm: true, clock: true })
  requireFunction('dpop source', source)
  const prover = dpopProver(options.key, options.algorithm, options.clock ?? systemClock)
  const bound = requireFunction('dpop source, made by a grant of this package,', source[bind])({ prover })
  // By origin; there are as many as the source has targets, since it has answered for each.
  const nonces = new Map<string, string>()
  return async ({ target, binding, signal, refused, nonce }) => {
    const supplied = await bound({
      target,
      ...(signal !== undefined && { signal }),
      ...(refused?.kind === 'dpop' &&
        !wantsNonce(refused, nonce) && { refused: { kind: 'bearer', carrier: refused.carrier, token: refused.token } }),
    })
    const { credential, expiresAt } = supplied
    // A bound source of this package yields bearer-shaped tokens that are worth something with a proof only.
    if (credential.kind !== 'bearer') return supplied
    const origin = originOf(target.origin)
    if (nonce !== undefined) nonces.set(origin, nonce)
    const { token, carrier } = credential
    const proof = await prover.prove({ method: binding.method, uri: binding.uri, token, nonce: nonces.get(origin) })
    return { credential: { kind: 'dpop', carrier, token, proof }, ...(expiresAt !== undefined && { expiresAt }) }
  }
}

/** Whether the refused proof had another nonce than the target wants by now: then the token may well be good. */
function wantsNonce({ proof }: Extract<Credential, { readonly kind: 'dpop' }>, nonce: string | undefined): boolean {
  if (nonce === undefined) return false
  try {
    return decodeUnverified(proof).claims['nonce'] !== nonce
  } catch {
    return false
  }
}
