import { parseAuthorization, type AccessRequest } from '@portcullis/core'

/** In which member of a payload a credential stands, in the words of an `Authorization` field. */
const member = 'authorization'

/** The credential of a `connection_init` or `ping` payload, as text; `undefined` if there is none, `''` for what is no text. */
export function authorizationOf(payload: unknown): string | undefined {
  if (typeof payload !== 'object' || payload === null || !Object.hasOwn(payload, member)) return undefined
  const value: unknown = (payload as Readonly<Record<string, unknown>>)[member]
  return typeof value === 'string' ? value : ''
}

/**
 * The upgrade, described with a credential that came in a message. At the first time it stands beside those of the
 * upgrade, so that two of a kind are refused; a renewal takes the place of its like, and the other factors are judged
 * again with it. A message has no method and address, so it has no binding, and a proof of possession (RFC 9449) does not
 * come in one.
 */
export function describeWith(
  { credentials, action, resource, attributes, channel }: AccessRequest,
  text: string,
  renewal: boolean,
): AccessRequest {
  const fresh = { ...parseAuthorization(text), carrier: 'connection_init' }
  const kept = renewal
    ? credentials.filter(({ kind, carrier }) => kind !== fresh.kind && kind !== 'dpop' && carrier !== fresh.carrier)
    : credentials
  return { credentials: [...kept, fresh], action, resource, attributes, channel }
}
