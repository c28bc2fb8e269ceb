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
  #isKept = true
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
      this.#current = token
      let answer: TokenAnswer
      try {
        answer = await ask('refresh_token', { refresh_token: token.reveal() }, { ...instead, toTheEnd: true })
      } catch (error) {
        if (!(error instanceof OAuthRefusal) || error.error !== 'invalid_grant') throw error
        this.#current = undefined
        this.#isKept = true
        continue
      }
      await this.#take(token, answer)
      return answer
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

  async #take(sent: Secret, { refreshToken }: TokenAnswer): Promise<void> {
    // From here on the one that was sent is spent, whatever comes of keeping the new one.
    if (refreshToken !== undefined && !refreshToken.equals(sent)) {
      this.#current = refreshToken
      this.#isKept = false
    }
    if (this.#isKept || this.#current === undefined) return
    // One that could not be kept is offered again after the next answer, even if that brings no newer one.
    await this.#onRotated?.(this.#current)
    this.#isKept = true
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
