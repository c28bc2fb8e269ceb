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

/** A field of interest. */
interface Interest {
  /** In lower case. */
  readonly name: string
  /** As clients of HTTP/1.1 mostly write it: found without making a copy in lower case. */
  readonly title: string
  readonly first: number
  readonly take: Take
}

const always: Readonly<Record<string, Take>> = {
  authorization: (fields, value) =>
    fields.authorization === undefined ? (fields.authorization = value) : (fields.secondAuthorization = true),
  dpop: (fields, value) => (fields.proof === undefined ? (fields.proof = value) : (fields.secondProof = true)),
  'content-length': (fields, value) => (fields.contentLength = Number(value)),
  'transfer-encoding': (fields) => (fields.contentLength = undefined),
  'x-http-method-override': (fields) => (fields.override = true),
  'x-http-method': (fields) => (fields.override = true),
  'x-method-override': (fields) => (fields.override = true),
}
const withCookies: Readonly<Record<string, Take>> = {
  cookie: (fields, value) => (fields.cookies ??= []).push(value),
  'sec-fetch-site': (fields, value) => (fields.fetchSite = value),
  origin: (fields, value) => (fields.origin = value),
}
const withBrowsers: Readonly<Record<string, Take>> = {
  origin: (fields, value) => (fields.origin = value),
  'access-control-request-method': (fields, value) => (fields.requestedMethod = value),
  'access-control-request-headers': (fields, value) => (fields.requestedFields = value),
}

/**
 * Finds the fields of interest. It reads names and values as they came, since Node's parsed headers keep the first of
 * two `Authorization` fields and hide the other.
 */
export class FieldScanner {
  /** By the length of the name: most fields are passed over by one look. */
  readonly #byLength: readonly (readonly Interest[] | undefined)[]

  /** `browsers`: whether fields are read that only browsers send, for CORS. */
  constructor(carriers: Carriers, browsers: boolean) {
    const takes = new Map<string, Take>(Object.entries(always))
    if (browsers) for (const [name, take] of Object.entries(withBrowsers)) takes.set(name, take)
    if (Object.keys(carriers.cookies ?? {}).length > 0) for (const [name, take] of Object.entries(withCookies)) takes.set(name, take)
    for (const [written, kind] of Object.entries(carriers.headers ?? {})) {
      const name = written.toLowerCase()
      const carrier = { carrier: `header:${name}`, name, kind }
      takes.set(name, (fields, value) => (fields.named ??= []).push({ carrier, value }))
    }
    const byLength: Interest[][] = []
    for (const [name, take] of takes) {
      const title = name.replace(/(?:^|-)[a-z]/g, (start) => start.toUpperCase())
      ;(byLength[name.length] ??= []).push({ name, title, first: name.charCodeAt(0), take })
    }
    // No holes, so that a look-up by a peer's length never leaves the list's own elements.
    this.#byLength = Array.from(byLength, (interests) => interests)
  }

  scan(rawHeaders: readonly string[]): Fields {
    const fields = new Fields()
    for (let at = 0; at < rawHeaders.length; at += 2) {
      const name = rawHeaders[at] ?? ''
      const interests = name.length < this.#byLength.length ? this.#byLength[name.length] : undefined
      if (interests === undefined) continue
      for (const interest of interests) {
        // 0x20 makes a letter small.
        if ((name.charCodeAt(0) | 0x20) !== interest.first) continue
        if (name === interest.name || name === interest.title || name.toLowerCase() === interest.name)
          interest.take(fields, rawHeaders[at + 1] ?? '')
      }
    }
    return fields
  }
}
