import { ConfigurationError, type Credential } from '@portcullis/core'
import type { RabbitmqErrorCode } from './errors.ts'

/** What `amqplib` takes as `credentials`. */
export interface AmqpCredentials {
  readonly mechanism: string
  response(): Buffer
}

/** The broker knows the client by its certificate (RFC 4422 appendix A). */
export const external: AmqpCredentials = Object.freeze({ mechanism: 'EXTERNAL', response: () => Buffer.alloc(0) })

/**
 * A credential as PLAIN (RFC 4616): name and password, or an access token in the place of the password. The name beside a
 * token says nothing to the broker's OAuth 2 plugin, and is left empty unless one is given. Throws
 * `ERR_RABBITMQ_CREDENTIAL` for other kinds.
 */
export function present(credential: Credential, nameBesideToken = ''): AmqpCredentials {
  const [name, password] = partsOf(credential, nameBesideToken)
  // A NUL would move the border between name and password.
  if (/\0/.test(name + password)) throw formless('a name or password with a NUL')
  return { mechanism: 'PLAIN', response: () => Buffer.from(`\0${name}\0${password}`) }
}

/** What a live connection is renewed with (`connection.update-secret`). */
export function secretOf(credential: Credential): Buffer {
  return Buffer.from(partsOf(credential)[1])
}

function partsOf(credential: Credential, nameBesideToken = ''): readonly [name: string, password: string] {
  if (credential.kind === 'basic') return [credential.username, credential.password.reveal()]
  if (credential.kind === 'bearer') return [nameBesideToken, credential.token.reveal()]
  throw formless(`a credential of kind "${credential.kind}"`)
}

function formless(what: string): ConfigurationError {
  return new ConfigurationError<RabbitmqErrorCode>('ERR_RABBITMQ_CREDENTIAL', `AMQP has no form for ${what}.`)
}
