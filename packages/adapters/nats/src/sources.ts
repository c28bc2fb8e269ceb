import {
  checkOptions,
  ConfigurationError,
  forTargets,
  secret,
  sameCredential,
  UnavailableError,
  type Credential,
  type CredentialSource,
  type Secret,
} from '@portcullis/core'
import type { NatsErrorCode } from './errors.ts'

/** A secret text, or what yields it each time that it is asked for: from a file, a vault. */
export type SecretText = string | Secret | (() => string | Secret | Promise<string | Secret>)

/** What {@link nkeyCredentials} takes. */
export interface NkeyCredentialsOptions {
  /** The seed: `SU…`. */
  readonly seed: SecretText
  /** The servers that may see a proof made with it: `tls://nats.example:4222`. */
  readonly targets: readonly [string, ...string[]]
}

/** Logs a client in with an NKey. Once the server has refused it, it is not tried there again (`ERR_SOURCE_EXHAUSTED`). */
export function nkeyCredentials(options: NkeyCredentialsOptions): CredentialSource {
  checkOptions<NkeyCredentialsOptions>('nkeyCredentials', options, { seed: true, targets: true })
  return read('nkeyCredentials', options.seed, options.targets, (text) => ({
    credential: { kind: 'nkey', carrier: 'connect', seed: secret(text.trim()) },
  }))
}

/** What {@link userJwtCredentials} takes. */
export interface UserJwtCredentialsOptions {
  /** The content of a `.creds` file: a user JWT and a seed, each between its marks. */
  readonly creds: SecretText
  readonly targets: readonly [string, ...string[]]
}

/**
 * Logs a client in with a user JWT, as in a `.creds` file. It is read anew whenever a credential is asked for, so a
 * file that is replaced in time is a rotation; its expiry is the JWT's own. The JWT is not verified here: the server does.
 */
export function userJwtCredentials(options: UserJwtCredentialsOptions): CredentialSource {
  checkOptions<UserJwtCredentialsOptions>('userJwtCredentials', options, { creds: true, targets: true })
  return read('userJwtCredentials', options.creds, options.targets, (text) => {
    const [jwt, seed] = [...text.matchAll(/-{3,}BEGIN [^\n]*-{3,}\r?\n\s*(\S+)\s*\r?\n\s*-{3,}END/g)].map((match) => match[1])
    if (jwt === undefined || seed === undefined) throw unreadable()
    const expiresAt = expiryOf(jwt)
    return {
      credential: { kind: 'userJwt', carrier: 'connect', jwt: secret(jwt), seed: secret(seed) },
      ...(expiresAt !== undefined && { expiresAt }),
    }
  })
}

type Made = { readonly credential: Credential; readonly expiresAt?: Date }

function read(where: string, text: SecretText, targets: readonly string[], make: (text: string) => Made): CredentialSource {
  const check = forTargets(where, targets)
  if (text === '' || text === undefined) throw new ConfigurationError('ERR_OPTION_MISSING', `${where} needs a secret that is not empty.`)
  return async (request) => {
    check(request)
    const made = make(secret(typeof text === 'function' ? await text() : text).reveal())
    if (request.refused !== undefined && sameCredential(made.credential, request.refused))
      throw new UnavailableError('ERR_SOURCE_EXHAUSTED', `${where} has no other credential than the one that was refused.`)
    return made
  }
}

function expiryOf(jwt: string): Date | undefined {
  try {
    const { exp } = JSON.parse(Buffer.from(jwt.split('.')[1] ?? '', 'base64url').toString()) as { readonly exp?: unknown }
    return typeof exp === 'number' && exp > 0 ? new Date(exp * 1_000) : undefined
  } catch {
    throw unreadable()
  }
}

function unreadable(): ConfigurationError {
  return new ConfigurationError<NatsErrorCode>(
    'ERR_NATS_CREDENTIAL',
    'The creds cannot be read: a user JWT and a seed, each between its marks.',
  )
}
