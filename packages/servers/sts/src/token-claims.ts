import { ConfigurationError } from '@portcullis/core'
import type { TokenModel } from './configuration.ts'
import type { StsErrorCode } from './errors.ts'
import type { StsTokenFacts } from './events.ts'
import type { StsGrant } from './grants/grant.ts'
import type { StsClaims } from './service.ts'

// RFC 7519, 7662, 8693, 8705 and 9068: what a service judges a token by.
const reserved: ReadonlySet<string> = new Set(
  'iss sub aud exp nbf iat jti scope client_id cnf act active token_type username sid authorization_details __proto__'.split(' '),
)

/** What is known of the token that a request leads to. */
export interface Issued {
  readonly grant: StsGrant
  readonly token: StsTokenFacts
}

/** Remembers, for each request, what its token is about, and makes the fields that the grants do not decide. */
export class TokenClaims {
  readonly #noted = new WeakMap<object, { readonly grant: StsGrant; readonly act?: Readonly<Record<string, unknown>> }>()
  readonly #issued = new WeakMap<object, Issued>()
  readonly #claims: StsClaims | undefined

  constructor(claims: StsClaims | undefined) {
    this.#claims = claims
  }

  note(context: object, noted: { readonly grant: StsGrant; readonly act?: Readonly<Record<string, unknown>> }): void {
    this.#noted.set(context, noted)
  }

  issued(context: object): Issued | undefined {
    return this.#issued.get(context)
  }

  /** The further fields of a token; also of one that is refreshed, which has no note. */
  of(context: object, model: TokenModel): Record<string, unknown> | undefined {
    const { grant, act } = this.#noted.get(context) ?? { grant: 'refresh_token' as const }
    const { clientId: client = '', accountId: subject = client, aud = [], scope, expiration = 0 } = model
    const token: StsTokenFacts = Object.freeze({
      subject,
      client,
      audiences: typeof aud === 'string' ? [aud] : aud,
      scopes: scope?.split(' ') ?? [],
      expiresAt: new Date((Math.floor(Date.now() / 1000) + expiration) * 1000),
      ...(act && { act }),
    })
    this.#issued.set(context, { grant, token })
    const own = { ...token, grant }
    const claims = this.#claims?.(own) ?? {}
    for (const name of Object.keys(claims)) {
      if (reserved.has(name))
        throw new ConfigurationError<StsErrorCode>('ERR_STS_CLAIM_RESERVED', `createSts claims must not set "${name}".`)
    }
    // Introspection names a subject of its own accord only where there is a user.
    return { ...claims, ...(model.kind === 'ClientCredentials' && { sub: subject }), ...(act && { act }) }
  }
}
