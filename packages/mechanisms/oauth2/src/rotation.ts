import type { Secret } from '@portcullis/core'
import { OAuthRefusal } from './errors.ts'
import type { TokenAnswer } from './token-request.ts'
import type { Ask, Grant, Instead } from './token-source.ts'

/**
 * A refresh token and those that come in its place (RFC 9700 section 4.14.2). One request at a time, since a server
 * takes the same token twice for theft; the old one stays until the new one has arrived.
 */
export class Rotation {
  readonly #first: () => Promise<Secret>
  readonly #onRotated: ((token: Secret) => void | Promise<void>) | undefined
  #current: Secret | undefined
  #configured: Secret | undefined
  #queue: Promise<unknown> = Promise.resolve()

  constructor(first: () => Promise<Secret>, onRotated?: (token: Secret) => void | Promise<void>) {
    this.#first = first
    this.#onRotated = onRotated
  }

  refresh(ask: Ask, instead?: Instead): Promise<TokenAnswer> {
    const run = this.#queue.then(() => this.#refresh(ask, instead))
    this.#queue = run.catch(() => undefined)
    return run
  }

  async #refresh(ask: Ask, instead: Instead | undefined): Promise<TokenAnswer> {
    for (;;) {
      const token = this.#current ?? (await this.#configuredAnew())
      try {
        return await this.#take(token, await ask('refresh_token', { refresh_token: token.reveal() }, { ...instead, toTheEnd: true }))
      } catch (error) {
        if (!(error instanceof OAuthRefusal) || error.error !== 'invalid_grant') {
          this.#current = token
          throw error
        }
        this.#current = undefined
      }
    }
  }

  /** What the configuration yields by now, unless that was tried: it was refused, or replaced, and must not be sent again. */
  async #configuredAnew(): Promise<Secret> {
    const token = await this.#first()
    if (this.#configured?.equals(token) === true)
      throw new OAuthRefusal('ERR_OAUTH_GRANT_ENDED', 'invalid_grant', 'The refresh token was refused, and there is no other.')
    this.#configured = token
    return token
  }

  async #take(sent: Secret, answer: TokenAnswer): Promise<TokenAnswer> {
    const { refreshToken } = answer
    this.#current = refreshToken ?? sent
    if (refreshToken !== undefined && !refreshToken.equals(sent)) await this.#onRotated?.(refreshToken)
    return answer
  }
}

/**
 * A grant that begins in one way and goes on by the refresh token that came with the first answer, as long as that is
 * taken; then it begins again.
 */
export function continued(begin: Grant, instead?: Instead): Grant {
  const rotations = new Map<string, Rotation>()
  return async (ask, request) => {
    const rotation = rotations.get(request.origin)
    if (rotation !== undefined) {
      try {
        return await rotation.refresh(ask, instead)
      } catch (error) {
        if (!(error instanceof OAuthRefusal) || error.code !== 'ERR_OAUTH_GRANT_ENDED') throw error
        rotations.delete(request.origin)
      }
    }
    const answer = await begin(ask, request)
    const { refreshToken } = answer
    if (refreshToken !== undefined) rotations.set(request.origin, new Rotation(async () => refreshToken))
    return answer
  }
}
