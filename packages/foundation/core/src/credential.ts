import type { Secret } from './secret.ts'

/**
 * The kinds of credential, by name. Adapters and users add their own by declaration merging:
 *
 * ```ts no-run
 * declare module '@portcullis/core' {
 *   interface CredentialKinds { ticket: { readonly ticket: Secret } }
 * }
 * ```
 */
export interface CredentialKinds {
  /** User name and password (RFC 7617). */
  basic: { readonly username: string; readonly password: Secret }
  /** A token that whoever holds it may use (RFC 6750): an access token, a NATS token, a password-like API token. */
  bearer: { readonly token: Secret }
  /** A token bound to a key, with the proof of possession (RFC 9449). */
  dpop: { readonly token: Secret; readonly proof: string }
  /** A key presented in a header or field of its own; `name` is the carrier's name, in lower case. */
  apiKey: { readonly name: string; readonly key: Secret }
  /** Another authentication scheme (RFC 9110 section 11.4): `scheme` in lower case, and what stood behind it. */
  scheme: { readonly scheme: string; readonly parameters: Secret }
  /** A signed message, as the peer sent it: a compact JWS over the message's digest and address. */
  envelope: { readonly envelope: string }
  /** A public key whose possession the transport has proven (SSH, NKey): its type and its wire form. */
  publicKey: { readonly algorithm: string; readonly key: Uint8Array }
  /** Something was presented and could not be read. It is refused, never taken for "nothing". `why` is for the log and holds no part of it. */
  malformed: { readonly why: string }
}

/** The name of a kind of credential. */
export type CredentialKind = keyof CredentialKinds

/**
 * What a peer presented. Nothing of it has been believed yet.
 *
 * "None" is an empty list, and a client certificate is a fact of the channel, so neither is a kind.
 * `carrier` says where it stood: `authorization`, `header:x-api-key`, `cookie:session`, `connection-init`, …;
 * a request has at most one credential per carrier.
 */
export type Credential<K extends CredentialKind = CredentialKind> = {
  [Kind in K]: { readonly kind: Kind; readonly carrier: string } & CredentialKinds[Kind]
}[K]

/** The first credential of this kind, if the peer presented one. */
export function credentialOf<K extends CredentialKind>(
  credentials: readonly Credential[],
  kind: K,
): Extract<Credential, { readonly kind: K }> | undefined {
  for (const credential of credentials) if (credential.kind === kind) return credential as Extract<Credential, { readonly kind: K }>
  return undefined
}
