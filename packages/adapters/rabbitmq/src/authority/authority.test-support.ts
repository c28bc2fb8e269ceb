import { request as plainRequest, type OutgoingHttpHeaders } from 'node:http'
import { request as secureRequest, type RequestOptions } from 'node:https'
import {
  authenticator,
  credentialOf,
  notMine,
  refused,
  Revocation,
  UnavailableError,
  vouchForPrincipal,
  type Authenticator,
  type Clock,
} from '@portcullis/core'

/** One mechanism for all: who knows the word comes in; what follows the name's first part says how. */
export class Words {
  readonly revocation = new Revocation()
  readonly #clock: Clock
  readonly #scopes: readonly string[]

  constructor(clock: Clock, scopes: readonly string[]) {
    this.#clock = clock
    this.#scopes = scopes
  }

  /** `brief.*` ends after ten seconds, `ended.*` with the revocation, `outage.*` cannot be judged. `narrow-word` proves the same with no scopes, `other-word` somebody of another issuer. */
  readonly mechanism: Authenticator = authenticator('words', ({ credentials }) => {
    const basic = credentialOf(credentials, 'basic')
    const bearer = credentialOf(credentials, 'bearer')
    if (basic === undefined && bearer === undefined) return notMine
    const [name = '', word = ''] =
      basic === undefined ? (bearer?.token.reveal().split('~') ?? []) : [basic.username, basic.password.reveal()]
    if (name.startsWith('outage')) throw new UnavailableError('ERR_TEST', 'down')
    if (!['open-sesame', 'narrow-word', 'other-word'].includes(word)) return refused('ERR_TEST_REFUSED')
    return vouchForPrincipal({
      issuer: word === 'other-word' ? 'urn:others' : 'urn:words',
      subject: name,
      scopes: word === 'narrow-word' ? [] : this.#scopes,
      ...(name.startsWith('brief') && { expiresAt: new Date(this.#clock.now() + 10_000) }),
      ...(name.startsWith('ended') && word !== 'other-word' && { revocations: [this.revocation] }),
    })
  })
}

export interface Answered {
  readonly status: number
  readonly text: string
}

export interface Ask {
  readonly method?: string
  readonly headers?: OutgoingHttpHeaders
  readonly tls?: RequestOptions
}

/** Sends one request; `cut` if the connection ends without an answer. */
export function ask(url: string, body: string, { method = 'POST', headers = {}, tls }: Ask = {}): Promise<Answered | 'cut'> {
  const made = new URL(url)
  const length = 'transfer-encoding' in headers ? {} : { 'content-length': Buffer.byteLength(body) }
  const all = { 'content-type': 'application/x-www-form-urlencoded', ...length, ...headers }
  const options = { method, agent: false as const, headers: all }
  return new Promise((resolve) => {
    const call = made.protocol === 'https:' ? secureRequest(made, { ...options, ...tls }) : plainRequest(made, options)
    call.once('response', (response) => {
      let text = ''
      response.on('data', (chunk: Buffer) => (text += chunk.toString()))
      response.once('end', () => resolve({ status: response.statusCode ?? 0, text }))
    })
    call.once('error', () => resolve('cut'))
    call.end(body)
  })
}

/** As the broker writes a form. */
export function form(fields: Readonly<Record<string, string>>): string {
  return new URLSearchParams(fields).toString()
}
