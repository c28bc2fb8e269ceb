import { parseAuthorization, Secret, type AccessRequest, type Channel, type Credential, type RequestBinding } from '@portcullis/core'
import type { Fields } from './fields.ts'

/** Where credentials may stand besides `Authorization`, by name, and what they are there. */
export interface Carriers {
  /** Header fields, such as `{ 'x-api-key': 'apiKey' }`. */
  readonly headers?: Readonly<Record<string, 'apiKey' | 'bearer'>>
  /**
   * Cookies, such as `{ '__Host-session': 'bearer' }`. A browser sends them along whoever made it ask, so a cookie that
   * comes from another site with anything but GET, HEAD or OPTIONS is refused as malformed (by `Sec-Fetch-Site`, and by
   * `Origin` where a browser does not send that).
   */
  readonly cookies?: Readonly<Record<string, 'apiKey' | 'bearer'>>
}

/** What is remembered of a connection: its last `Authorization` text and the credential that it was, since clients repeat it. */
export interface CredentialMemo {
  text: string | undefined
  credentials: readonly Credential[] | undefined
}

const none: readonly Credential[] = Object.freeze([])
const safeMethods: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS'])
// RFC 6750 section 2.1.
const token68 = /^[A-Za-z0-9._~+/-]+=*$/
// More than this in one request are not a mistake, and each costs a parse.
const maxCredentials = 8

/** Reads what a request presents out of its fields. The memo gives the same object for the same text, so that a mechanism may know it again. */
export function credentialsOf(
  fields: Fields,
  memo: CredentialMemo,
  method: string,
  origin: string,
  cookies: ReadonlyMap<string, 'apiKey' | 'bearer'>,
): readonly Credential[] {
  const { authorization, proof } = fields
  const more = fields.secondAuthorization || fields.secondProof || fields.named !== undefined || fields.cookies !== undefined
  if (proof === undefined && !more) {
    if (authorization === undefined) return none
    if (memo.text === authorization && memo.credentials !== undefined) return memo.credentials
    memo.text = authorization
    return (memo.credentials = Object.freeze([parseAuthorization(authorization)]))
  }
  const credentials: Credential[] = []
  if (fields.secondAuthorization || fields.secondProof) credentials.push(malformed('authorization', 'two Authorization or DPoP fields'))
  else if (authorization !== undefined) credentials.push(parseAuthorization(authorization, proof))
  else if (proof !== undefined) credentials.push(malformed('authorization', 'a DPoP proof came without a token'))
  for (const { carrier, value } of fields.named ?? []) credentials.push(fromText(carrier.kind, carrier.carrier, carrier.name, value))
  if (fields.cookies !== undefined) {
    const foreign = !safeMethods.has(method) && isCrossSite(fields, origin)
    for (const pair of fields.cookies.join(';').split(';')) {
      const equals = pair.indexOf('=')
      const name = pair.slice(0, Math.max(0, equals)).trim()
      const kind = cookies.get(name)
      if (kind === undefined) continue
      const carrier = `cookie:${name}`
      credentials.push(
        foreign ? malformed(carrier, 'a cookie came from another site') : fromText(kind, carrier, name, pair.slice(equals + 1).trim()),
      )
    }
  }
  return credentials.slice(0, maxCredentials)
}

function isCrossSite({ fetchSite, origin: from }: Fields, origin: string): boolean {
  if (fetchSite !== undefined) return fetchSite !== 'same-origin' && fetchSite !== 'none'
  return from !== undefined && from !== origin
}

function fromText(kind: 'apiKey' | 'bearer', carrier: string, name: string, value: string): Credential {
  if (value === '' || (kind === 'bearer' && !token68.test(value))) return malformed(carrier, 'it is empty or no token68')
  return kind === 'bearer' ? { kind, carrier, token: new Secret(value) } : { kind, carrier, name, key: new Secret(value) }
}

function malformed(carrier: string, why: string): Credential {
  return { kind: 'malformed', carrier, why }
}

/** Whatever has parameters to show, once somebody asks. */
export interface Parametrised {
  readonly parameters: Readonly<Record<string, unknown>>
}

/** A request as the guard sees it. A class, so that what is seldom needed is made when it is read. */
export class HttpAccessRequest implements AccessRequest {
  readonly credentials: readonly Credential[]
  readonly action: string
  readonly resource: string
  readonly channel: Channel
  readonly #match: Parametrised

  constructor(credentials: readonly Credential[], method: string, resource: string, match: Parametrised, channel: Channel) {
    this.credentials = credentials
    // A HEAD is a GET whose content is not sent (RFC 9110 section 9.3.2): who may the one may the other.
    this.action = method === 'HEAD' ? 'GET' : method
    this.resource = resource
    this.channel = channel
    this.#match = match
  }

  get attributes(): Readonly<Record<string, unknown>> {
    return this.#match.parameters
  }
}

/** The same with what a proof of possession is matched against. */
export class BoundHttpRequest extends HttpAccessRequest {
  readonly #method: string
  readonly #origin: string
  readonly #path: string

  constructor(
    credentials: readonly Credential[],
    method: string,
    resource: string,
    match: Parametrised,
    channel: Channel,
    origin: string,
    path: string,
  ) {
    super(credentials, method, resource, match, channel)
    this.#method = method
    this.#origin = origin
    this.#path = path
  }

  get binding(): RequestBinding {
    return { method: this.#method, uri: this.#origin + this.#path }
  }
}
