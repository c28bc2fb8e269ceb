/** The ways to a token, by the name that a client's options have, with the `grant_type` that a request has. */
export const grantTypes = {
  client_credentials: 'client_credentials',
  password: 'password',
  refresh_token: 'refresh_token',
  jwt_bearer: 'urn:ietf:params:oauth:grant-type:jwt-bearer',
  token_exchange: 'urn:ietf:params:oauth:grant-type:token-exchange',
} as const

/** A way to a token: client credentials, password and refresh token (RFC 6749), JWT assertion (RFC 7523), token exchange (RFC 8693). */
export type StsGrant = keyof typeof grantTypes

/** Tells the name of a grant from any other text. */
export function isGrant(value: unknown): value is StsGrant {
  return typeof value === 'string' && Object.hasOwn(grantTypes, value)
}
