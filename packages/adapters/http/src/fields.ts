import type { Carriers } from './describe.ts'

/** A named place of a credential besides `Authorization`. */
export interface NamedCarrier {
  readonly carrier: string
  readonly name: string
  readonly kind: 'apiKey' | 'bearer'
}

/** What the listener needs of one request's fields, found in one pass over them as they came. */
export class Fields {
  /** Every `Authorization` field; more than one is refused. */
  authorization: string | undefined
  secondAuthorization = false
  proof: string | undefined
  secondProof = false
  /** 0 without content, `undefined` if the length was not said. */
  contentLength: number | undefined = 0
  /** A field asks for another method than the request line's. */
  override = false
  origin: string | undefined
  fetchSite: string | undefined
  cookies: string[] | undefined
  named: { readonly carrier: NamedCarrier; readonly value: string }[] | undefined
  requestedMethod: string | undefined
  requestedFields: string | undefined
}

type Take = (fields: Fields, value: string) => void

/**
 * Finds the fields of interest. It reads names and values as they came, since Node's parsed headers keep the first of
 * two `Authorization` fields and hide the other.
 */
export class FieldScanner {
  readonly #takes = new Map<string, Take>([
    [
      'authorization',
      (fields, value) => (fields.authorization === undefined ? (fields.authorization = value) : (fields.secondAuthorization = true)),
    ],
    ['dpop', (fields, value) => (fields.proof === undefined ? (fields.proof = value) : (fields.secondProof = true))],
    ['content-length', (fields, value) => (fields.contentLength = Number(value))],
    ['transfer-encoding', (fields) => (fields.contentLength = undefined)],
    ['x-http-method-override', (fields) => (fields.override = true)],
    ['x-http-method', (fields) => (fields.override = true)],
    ['x-method-override', (fields) => (fields.override = true)],
  ])
  /** Bit n is set if a name of interest has n characters: most fields are passed over by one shift. */
  readonly #lengths: number

  /** `browsers`: whether fields are read that only browsers send, for CORS. */
  constructor(carriers: Carriers, browsers: boolean) {
    for (const [written, kind] of Object.entries(carriers.headers ?? {})) {
      const name = written.toLowerCase()
      const carrier = { carrier: `header:${name}`, name, kind }
      this.#takes.set(name, (fields, value) => (fields.named ??= []).push({ carrier, value }))
    }
    const cookies = Object.keys(carriers.cookies ?? {}).length > 0
    if (cookies)
      this.#takes
        .set('cookie', (fields, value) => (fields.cookies ??= []).push(value))
        .set('sec-fetch-site', (fields, value) => (fields.fetchSite = value))
    if (cookies || browsers) this.#takes.set('origin', (fields, value) => (fields.origin = value))
    if (browsers) {
      this.#takes.set('access-control-request-method', (fields, value) => (fields.requestedMethod = value))
      this.#takes.set('access-control-request-headers', (fields, value) => (fields.requestedFields = value))
    }
    let lengths = 0
    for (const name of this.#takes.keys()) lengths |= 1 << (name.length % 32)
    this.#lengths = lengths
  }

  scan(rawHeaders: readonly string[]): Fields {
    const fields = new Fields()
    for (let at = 0; at < rawHeaders.length; at += 2) {
      const name = rawHeaders[at] ?? ''
      if (((this.#lengths >> (name.length % 32)) & 1) === 0) continue
      this.#takes.get(name.toLowerCase())?.(fields, rawHeaders[at + 1] ?? '')
    }
    return fields
  }
}
