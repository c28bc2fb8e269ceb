import type { UserStore } from '@portcullis/auth'
import { checkOptions, ConfigurationError, isSecret, type Secret } from '@portcullis/core'
import type { ListenerOptions } from '@portcullis/http'
import type { StsAudience } from './audiences.ts'
import type { StsClient } from './clients.ts'
import type { StsReport } from './events.ts'
import type { StsAssertionIssuer } from './grants/jwt-bearer.ts'
import type { ExchangePolicy } from './grants/token-exchange.ts'
import type { StsKey } from './keys.ts'
import { requireUsers } from './password-check.ts'
import type { StsClaims } from './service.ts'
import type { StsState } from './state/state.ts'

/** What {@link createSts} takes. */
export interface StsOptions {
  /**
   * Key pair, and trust for the certificates of clients: options, or a bundle that is shared and reloaded. Behind a
   * proxy that ends the TLS: `tlsTerminatedBy` of `@portcullis/http`. `plaintextChannel` of `./danger` does without.
   */
  readonly tls: ListenerOptions['tls']
  /** Who may ask for tokens, or judge them: a list, or a look-up for many, asked anew for each request. */
  readonly clients: readonly [StsClient, ...StsClient[]] | ((id: string) => StsClient | undefined | Promise<StsClient | undefined>)
  /** The services that tokens are for, by the name that a token has in `aud`. */
  readonly audiences: Readonly<Record<string, StsAudience>>
  /** Scheme, host and port by which everybody knows this service, in `iss`. Default: `https://localhost:port`. */
  readonly issuer?: string
  /** Default: 0, a free one. */
  readonly port?: number
  /** Default: `127.0.0.1`, so that nothing is open to a network that was not asked to be. */
  readonly host?: string
  /** Turns on the password grant for these users. It shows the password to the client: for what cannot do otherwise (RFC 9700 section 2.4). */
  readonly passwordGrant?: { readonly users: UserStore }
  /** Turns on the JWT assertion grant for these issuers (RFC 7523). */
  readonly assertions?: readonly [StsAssertionIssuer, ...StsAssertionIssuer[]]
  /** Turns on token exchange (RFC 8693): who may act for whom. */
  readonly exchange?: ExchangePolicy
  /** Asked at each refresh whether the login still holds, since a user store only answers for passwords; only `true` says that it does. Default: it does until it ends. */
  readonly mayRefresh?: (login: { readonly subject: string; readonly client: string }) => boolean | Promise<boolean>
  /** How long a login can be refreshed, in seconds from its beginning, at most a year. Default: 1,209,600, two weeks. */
  readonly refreshLifetimeSeconds?: number
  /** Further fields of tokens and of introspection. What the service itself gives a meaning is refused. */
  readonly claims?: StsClaims
  /** What signs tokens: the first key of each algorithm; the others are only published. Default: ES256 and RS256, generated. */
  readonly keys?: readonly [StsKey, ...StsKey[]]
  /** Where tokens and logins are kept. Default: `memoryState()`. Whoever made it closes it. */
  readonly state?: StsState
  /** Makes every DPoP proof carry a nonce of this service (RFC 9449 section 8): at least 32 characters, from a random generator. Instances that share a state share it. */
  readonly dpopNonceSecret?: Secret
  /** Gets every event, for the log. */
  readonly report?: StsReport
  readonly limits?: ListenerOptions['limits']
  readonly timeouts?: ListenerOptions['timeouts']
}

// As for the nonces of a resource: who can guess it can make proofs ahead of time.
const minNonceSecretLength = 32

/** Refuses options that do not exist, and those that would leave a check out unsaid. */
export function checkStsOptions(options: StsOptions): void {
  checkOptions<StsOptions>('createSts', options, {
    tls: true,
    clients: true,
    audiences: true,
    issuer: true,
    port: true,
    host: true,
    passwordGrant: true,
    assertions: true,
    exchange: true,
    mayRefresh: true,
    refreshLifetimeSeconds: true,
    claims: true,
    keys: true,
    state: true,
    dpopNonceSecret: true,
    report: true,
    limits: true,
    timeouts: true,
  })
  for (const check of ['mayRefresh', 'dpopNonceSecret'] as const)
    if (Object.hasOwn(options, check) && options[check] === undefined)
      throw new ConfigurationError('ERR_OPTION_INVALID', `createSts ${check} is present and undefined.`)
  const { dpopNonceSecret, passwordGrant } = options
  if (dpopNonceSecret !== undefined && !(isSecret(dpopNonceSecret) && dpopNonceSecret.reveal().length >= minNonceSecretLength))
    throw new ConfigurationError(
      'ERR_OPTION_INVALID',
      `createSts dpopNonceSecret must be a Secret with at least ${minNonceSecretLength} characters.`,
    )
  if (passwordGrant === undefined) return
  checkOptions<NonNullable<StsOptions['passwordGrant']>>('createSts passwordGrant', passwordGrant, { users: true })
  requireUsers(passwordGrant.users)
}
