import type { IssuerRow } from './claims.ts'
import type { JwtHeader } from './header.ts'

/** A header that came with a good signature: read, and checked against its issuer's row. */
export interface KnownHeader {
  readonly text: string
  readonly header: JwtHeader
  readonly row: IssuerRow
}

// Issuers write one header for all tokens of a key; a few keys of a few issuers fit.
const maxHeaders = 64

/**
 * Remembers headers, since all tokens of one key have the same. Only what came with a good signature is remembered, so
 * that a peer cannot fill it; and not the key, which is looked up each time, since another may have come for the same
 * header.
 */
export class HeaderMemo {
  readonly #known = new Map<string, KnownHeader>()
  #last: KnownHeader | undefined

  get(text: string): KnownHeader | undefined {
    if (this.#last !== undefined && this.#last.text === text) return this.#last
    const known = this.#known.get(text)
    if (known !== undefined) this.#last = known
    return known
  }

  add(text: string, header: JwtHeader, row: IssuerRow): void {
    if (this.#known.size >= maxHeaders) this.#known.clear()
    // A copy: a slice would keep the whole token in memory.
    const copy = Buffer.from(text, 'latin1').toString('latin1')
    this.#last = { text: copy, header: Object.freeze(header), row }
    this.#known.set(copy, this.#last)
  }
}
