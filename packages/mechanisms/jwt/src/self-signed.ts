import { cached, ConfigurationError, forTargets, secret, type CredentialSource } from '@portcullis/core'
import { createIssuer, type IssuerSettings } from './sign.ts'

/** What a self-signed token says, and whom it is for. */
export interface SelfSignedJwtOptions extends IssuerSettings {
  /** The origins that the token may be sent to, such as `https://orders.example`; others are refused. */
  readonly targets: readonly [string, ...string[]]
  /** The subject of the tokens; for a service that speaks for itself, its own name. */
  readonly subject: string
  /** Required: a token for nobody in particular is one for everybody (RFC 8725 section 3.9). */
  readonly audience: string | readonly [string, ...string[]]
}

/**
 * A source of bearer tokens that the client signs itself, for services that trust its key.
 *
 * One token is used until shortly before it expires (a fifth of its life, at most 30 seconds), then a new one is
 * issued in the background. A token that the peer refuses is replaced once. Throws `ERR_SOURCE_TARGET` and
 * `ERR_SOURCE_INSECURE` for a target that it was not made for.
 */
export function selfSignedJwt(options: SelfSignedJwtOptions): CredentialSource {
  const { targets, ...rest } = options
  const { subject, audience } = rest
  if (subject === undefined || audience === undefined)
    throw new ConfigurationError('ERR_OPTION_MISSING', 'selfSignedJwt needs a subject and an audience.')
  const check = forTargets('selfSignedJwt', targets)
  const issuer = createIssuer(rest)
  const issueOne = cached(
    async () => {
      const { token, expiresAt } = await issuer.issueWithExpiry()
      return { credential: { kind: 'bearer', carrier: 'authorization', token: secret(token) }, expiresAt }
    },
    options.clock === undefined ? {} : { clock: options.clock },
  )
  return (request) => {
    check(request)
    return issueOne(request)
  }
}
