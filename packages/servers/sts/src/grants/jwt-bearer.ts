import { checkOptions, ConfigurationError, requireFunction } from '@portcullis/core'
import {
  createVerifier,
  type Algorithm,
  type JwtClaims,
  type JwtRefused,
  type KeysOption,
  type VerifiedJwt,
  type Verifier,
} from '@portcullis/jwt'
import { errors } from 'oidc-provider'
import { invalidGrant, TemporarilyUnavailable } from '../refusal.ts'
import type { Service, TokenContext } from '../service.ts'
import { audienceFor, clientFor, issue, scopesFor } from './issue.ts'
import { refuseClientNames } from './password.ts'

/** Whom an assertion is taken to speak of. */
export interface AssertedSubject {
  /** The name that tokens of this service have for them. */
  readonly subject: string
  /** What they may have at most. */
  readonly scopes: Iterable<string>
}

/** An issuer whose assertions are exchanged for tokens. */
export interface StsAssertionIssuer {
  /** `iss`, compared exactly. */
  readonly issuer: string
  /** Its keys: at hand, or at its `jwksUri`. */
  readonly keys: KeysOption
  readonly algorithms?: readonly [Algorithm, ...Algorithm[]]
  /** The greatest age since `iat`, in seconds, which makes `iat` required. Default: 300. */
  readonly maxAgeSeconds?: number
  /**
   * Who in this service the subject of the assertion is, and what they may have; `undefined` refuses. Required, since
   * the `alice` of another issuer need not be the `alice` of this one.
   */
  readonly accept: (claims: JwtClaims, client: string) => AssertedSubject | undefined | Promise<AssertedSubject | undefined>
}

/** The issuers of assertions, checked. */
export interface Assertions {
  readonly verifier: Verifier
  readonly accept: ReadonlyMap<string, StsAssertionIssuer['accept']>
}

// RFC 7521 section 5.2: an assertion has a limited lifetime; clients make one for each request.
const defaultMaxAgeSeconds = 300

/** Checks the issuers of assertions, which must be made for this token service (RFC 7523 section 3). */
export function assertionsOf(
  issuers: readonly [StsAssertionIssuer, ...StsAssertionIssuer[]],
  audience: readonly [string, ...string[]],
): Assertions {
  if (!Array.isArray(issuers) || issuers.length === 0)
    throw new ConfigurationError('ERR_OPTION_INVALID', 'createSts assertions is a list of issuers that is not empty.')
  const rows = issuers.map((row) => {
    checkOptions<StsAssertionIssuer>('createSts assertions', row, {
      issuer: true,
      keys: true,
      algorithms: true,
      maxAgeSeconds: true,
      accept: true,
    })
    const { accept, maxAgeSeconds = defaultMaxAgeSeconds, ...rest } = row
    requireFunction(`createSts assertions accept of "${row.issuer}"`, accept)
    return { ...rest, audience, maxAgeSeconds, claims: { sub: isText } }
  })
  const [first, ...others] = rows
  if (first === undefined) throw new ConfigurationError('ERR_OPTION_INVALID', 'createSts assertions is empty.')
  return {
    verifier: createVerifier({ issuers: [first, ...others] }),
    accept: new Map(issuers.map(({ issuer, accept }) => [issuer, accept])),
  }
}

/** A token for whom a trusted issuer speaks of (RFC 7523 section 2.1). */
export async function jwtBearerGrant(service: Service, context: TokenContext): Promise<void> {
  const client = await clientFor(service, context, 'jwt_bearer')
  const audience = audienceFor(service, context, client)
  const { assertion } = context.oidc.params
  if (!assertion) throw new errors.InvalidRequest('assertion is required')
  const asserted = await subjectOf(service, assertion, client.id)
  await refuseClientNames(service, asserted.subject)
  await issue(service, context, {
    grant: 'jwt_bearer',
    client,
    audience,
    scopes: scopesFor(context, client, audience, new Set(asserted.scopes)),
    subject: asserted.subject,
  })
}

async function subjectOf({ assertions }: Service, assertion: string, client: string): Promise<AssertedSubject> {
  if (assertions === undefined) throw invalidGrant('no issuer is known')
  const verified = await verify(assertions.verifier, assertion)
  // RFC 9068 section 2.1: a service that got an access token has not been asked to get another one with it.
  if (verified.header.typ?.toLowerCase().endsWith('at+jwt') === true) throw invalidGrant('an access token is no assertion')
  // RFC 7800: whoever presents it has shown no key.
  if (verified.claims['cnf'] !== undefined) throw invalidGrant('the assertion is bound to a key')
  const asserted = await assertions.accept.get(verified.claims.iss ?? '')?.(verified.claims, client)
  if (asserted === undefined || typeof asserted.subject !== 'string' || asserted.subject === '') throw invalidGrant('not accepted')
  return asserted
}

/** Verifies a token that a request brings; where that cannot be told at the moment, the client may come again. */
export async function verify(verifier: Verifier, token: string, refusal = invalidGrant): Promise<VerifiedJwt> {
  let verified: VerifiedJwt | JwtRefused
  try {
    verified = await verifier.verify(token)
  } catch (cause) {
    throw new TemporarilyUnavailable(cause)
  }
  if ('refused' in verified) throw refusal(verified.refused)
  return verified
}

function isText(value: unknown): boolean {
  return typeof value === 'string' && value !== ''
}
