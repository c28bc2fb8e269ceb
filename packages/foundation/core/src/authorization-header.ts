/** The text grammar of RFC 9110 section 11, which every protocol with header-like fields shares. */
import type { Advice, Offer } from './authenticator.ts'
import type { Credential } from './credential.ts'
import type { Reason } from './decision.ts'
import { Secret } from './secret.ts'

/**
 * The longest value that is looked at, in characters. Larger ones are refused as malformed: Node's own limit for all
 * headers together is 16 KiB, and a token that large has no place in a header.
 */
export const maxAuthorizationLength = 16_384

const carrier = 'authorization'
// RFC 9110 section 5.6.2 token; section 11.2 token68.
const schemePattern = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/
const token68Pattern = /^[A-Za-z0-9._~+/-]+=*$/

/**
 * Reads the value of an `Authorization` field. Never throws: what cannot be read becomes a credential of kind
 * `malformed`. Scheme names are compared without case (RFC 9110 section 11.1).
 *
 * `proof` is the value of the `DPoP` field that came along (RFC 9449 section 4.1), if exactly one did.
 */
export function parseAuthorization(value: string, proof?: string): Credential {
  if (value.length > maxAuthorizationLength) return malformed('the value is too long')
  const space = value.indexOf(' ')
  const scheme = space === -1 ? value : value.slice(0, space)
  if (!schemePattern.test(scheme)) return malformed('it does not begin with a scheme')
  const rest = space === -1 ? '' : value.slice(space + 1).trim()
  switch (scheme.toLowerCase()) {
    case 'bearer':
      return token68Pattern.test(rest) ? { kind: 'bearer', carrier, token: new Secret(rest) } : malformed('the token is not a token68')
    case 'dpop':
      if (!token68Pattern.test(rest)) return malformed('the token is not a token68')
      return proof === undefined
        ? malformed('a DPoP token came without a proof')
        : { kind: 'dpop', carrier, token: new Secret(rest), proof }
    case 'basic':
      return parseBasic(rest)
    default:
      return { kind: 'scheme', carrier, scheme: scheme.toLowerCase(), parameters: new Secret(rest) }
  }
}

const strictUtf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

// RFC 7617 section 2: base64 of user-id ":" password, in UTF-8; the user-id has no colon, the password may have some.
function parseBasic(encoded: string): Credential {
  const bytes = Buffer.from(encoded, 'base64')
  if (encoded === '' || bytes.toString('base64').replace(/=+$/, '') !== encoded.replace(/=+$/, ''))
    return malformed('the Basic credentials are not base64')
  let text: string
  try {
    text = strictUtf8.decode(bytes)
  } catch {
    return malformed('the Basic credentials are not UTF-8')
  }
  const colon = text.indexOf(':')
  if (colon === -1) return malformed('the Basic credentials have no colon')
  if (colon === 0) return malformed('the Basic credentials have no user name')
  // RFC 7617 section 2: neither part may contain control characters.
  // oxlint-disable-next-line no-control-regex
  if (/[\u0000-\u001f\u007f]/.test(text)) return malformed('the Basic credentials contain control characters')
  return { kind: 'basic', carrier, username: text.slice(0, colon), password: new Secret(text.slice(colon + 1)) }
}

function malformed(why: string): Credential {
  return { kind: 'malformed', carrier, why }
}

/**
 * Writes a credential as the value of an `Authorization` field, or returns `undefined` for a kind that has no such
 * form. A DPoP proof goes into a field of its own.
 */
export function formatAuthorization(credential: Credential): string | undefined {
  switch (credential.kind) {
    case 'basic':
      return `Basic ${Buffer.from(`${credential.username}:${credential.password.reveal()}`, 'utf8').toString('base64')}`
    case 'bearer':
      return `Bearer ${credential.token.reveal()}`
    case 'dpop':
      return `DPoP ${credential.token.reveal()}`
    case 'scheme':
      return `${credential.scheme} ${credential.parameters.reveal()}`
    default:
      return undefined
  }
}

// RFC 6750 section 3.1, RFC 9449 section 7.1, RFC 9470 section 3. No error where a credential is merely missing.
const bearerErrors: Readonly<Record<Reason, string | undefined>> = {
  missing: undefined,
  malformed: 'invalid_request',
  invalid: 'invalid_token',
  stepUp: 'insufficient_user_authentication',
  insufficientScope: 'insufficient_scope',
  forbidden: undefined,
  outage: undefined,
  overload: undefined,
  internal: undefined,
}
const schemesWithErrors = new Set(['bearer', 'dpop'])
// RFC 9449 sections 7.1 and 9: these speak of a proof, which no other scheme has.
const schemeOfError: ReadonlyMap<string, string> = new Map([
  ['invalid_dpop_proof', 'dpop'],
  ['use_dpop_nonce', 'dpop'],
])

/**
 * The challenges of a refusal, one text per offered scheme, for `WWW-Authenticate` fields or whatever a protocol has
 * in their place. Offers without a scheme (client certificates) give none. Holds nothing but what the reason and the
 * advice say: no code, no message.
 */
export function formatChallenges(offers: readonly Offer[], reason: Reason, advice?: Advice): string[] {
  const challenges: string[] = []
  for (const { scheme, parameters } of offers) {
    if (scheme === '') continue
    const all: Record<string, string> = { ...parameters }
    if (schemesWithErrors.has(scheme.toLowerCase())) {
      const error = errorFor(scheme.toLowerCase(), reason, advice?.error)
      if (error !== undefined) all['error'] = error
      if (advice?.scopes !== undefined && advice.scopes.length > 0) all['scope'] = advice.scopes.join(' ')
      if (advice?.acrValues !== undefined && advice.acrValues.length > 0) all['acr_values'] = advice.acrValues.join(' ')
      if (advice?.maxAgeSeconds !== undefined) all['max_age'] = String(advice.maxAgeSeconds)
    }
    const text = Object.entries(all)
      .map(([name, value]) => `${name}=${quoted(value)}`)
      .join(', ')
    challenges.push(text === '' ? scheme : `${scheme} ${text}`)
  }
  return challenges
}

/** The error for one scheme; none where the peer's fault lies in another. */
function errorFor(scheme: string, reason: Reason, advised: string | undefined): string | undefined {
  if (advised === undefined) return bearerErrors[reason]
  const owner = schemeOfError.get(advised)
  return owner === undefined || owner === scheme ? advised : undefined
}

// RFC 9110 section 5.6.4. What a quoted string cannot hold is replaced: a value must never break out of its field.
function quoted(value: string): string {
  return `"${value.replace(/[^\t\u0020-\u007e]/g, '?').replace(/["\\]/g, '\\$&')}"`
}

/** A challenge as a client reads it; parameter names in lower case. */
export interface ParsedChallenge {
  /** In lower case. */
  readonly scheme: string
  readonly parameters: ReadonlyMap<string, string>
}

// More challenges than this in one answer are not a negotiation.
const maxChallenges = 32

/**
 * Reads the value of a `WWW-Authenticate` field with any number of challenges (RFC 9110 section 11.6.1). What cannot
 * be read ends the list; what was read before it is returned.
 */
export function parseChallenges(value: string): ParsedChallenge[] {
  const challenges: ParsedChallenge[] = []
  const pattern =
    /\s*(?:,\s*)*([!#$%&'*+.^_`|~0-9A-Za-z-]+)(?:\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([!#$%&'*+.^_`|~0-9A-Za-z-]+))|(?:[ \t]+(?:[A-Za-z0-9._~+/-]+=*)(?=\s*(?:,|$)))|)/y
  let current: Map<string, string> | undefined
  for (let match = pattern.exec(value); match !== null && challenges.length <= maxChallenges; match = pattern.exec(value)) {
    const [, name = '', quotedText, plain] = match
    const parameter = quotedText?.replace(/\\(.)/g, '$1') ?? plain
    if (parameter === undefined) {
      current = new Map()
      challenges.push({ scheme: name.toLowerCase(), parameters: current })
    } else if (current === undefined) {
      break
    } else {
      current.set(name.toLowerCase(), parameter)
    }
    if (pattern.lastIndex >= value.length) break
  }
  return challenges
}
