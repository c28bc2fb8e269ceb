import type { Instead } from './token-source.ts'

/** A request that follows from an authorization: its scopes were asked for when that began (RFC 6749 section 4.1.3, RFC 8628 section 3.4). */
export const afterAuthorization: Instead = { wanted: ({ pairs }) => ({ scope: undefined, pairs }) }

/** Whether a browser may be sent there: what is handed to one must not be a script or a program. */
export function isHttps(address: string): boolean {
  return URL.canParse(address) && new URL(address).protocol === 'https:'
}
