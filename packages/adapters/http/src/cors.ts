import { checkOptions, ConfigurationError, requireNumber, requireTexts } from '@portcullis/core'
import type { Fields } from './fields.ts'
import type { WireAnswer } from './refuse.ts'

/** Which other origins' pages may call, and how (the CORS protocol of the Fetch standard). */
export interface Cors {
  /** Origins in full, such as `https://app.example`, or `'*'` for every page without its user's credentials. */
  readonly allowOrigins: readonly [string, ...string[]] | '*'
  /** Default: the methods that the path is registered for. */
  readonly allowMethods?: readonly [string, ...string[]]
  /** Header fields that a page may set. Default: `authorization` and `content-type`. */
  readonly allowHeaders?: readonly [string, ...string[]]
  /** Header fields of the answer that a page may read besides the usual ones. Default: none. */
  readonly exposeHeaders?: readonly [string, ...string[]]
  /** Whether a browser may send cookies and client certificates along. Default: false. Not together with `'*'`. */
  readonly allowCredentials?: boolean
  /** How long a browser may remember the answer, in seconds, up to a day. Default: 600. */
  readonly maxAgeSeconds?: number
}

/** {@link Cors}, checked. */
export class CorsRules {
  readonly #origins: ReadonlySet<string> | undefined
  readonly #shared: readonly string[]
  readonly #exposed: readonly string[]
  readonly #methods: readonly string[] | undefined
  readonly #headers: string
  readonly #maxAge: string

  constructor(where: string, cors: Cors) {
    checkOptions<Cors>(where, cors, {
      allowOrigins: true,
      allowMethods: true,
      allowHeaders: true,
      exposeHeaders: true,
      allowCredentials: true,
      maxAgeSeconds: true,
    })
    const { allowOrigins, allowCredentials = false } = cors
    if (allowOrigins === '*' && allowCredentials)
      throw new ConfigurationError(
        'ERR_OPTION_INVALID',
        `${where}: every origin with credentials would be every page with its visitor's rights; name the origins.`,
      )
    if (allowOrigins !== '*') for (const origin of requireTexts(`${where} allowOrigins`, allowOrigins)) requireOrigin(where, origin)
    this.#origins = allowOrigins === '*' ? undefined : new Set(allowOrigins)
    this.#shared = allowCredentials ? ['access-control-allow-credentials', 'true'] : []
    this.#exposed =
      cors.exposeHeaders === undefined
        ? []
        : ['access-control-expose-headers', requireTexts(`${where} exposeHeaders`, cors.exposeHeaders).join(', ')]
    this.#methods = cors.allowMethods === undefined ? undefined : requireTexts(`${where} allowMethods`, cors.allowMethods)
    this.#headers = requireTexts(`${where} allowHeaders`, cors.allowHeaders ?? ['authorization', 'content-type']).join(', ')
    this.#maxAge = String(requireNumber(`${where} maxAgeSeconds`, cors.maxAgeSeconds ?? 600, { min: 0, max: 86_400 }))
  }

  /** The answer to a preflight: what is allowed, or nothing, which a browser takes for a refusal. `methods` are those of the path. */
  preflight(fields: Fields, methods: readonly string[]): WireAnswer {
    const origin = this.#allowed(fields.origin)
    const allowed = this.#methods ?? methods
    if (origin === undefined) return { status: 204, headers: ['vary', 'origin'], content: '' }
    return {
      status: 204,
      headers: [
        'access-control-allow-origin',
        origin,
        'vary',
        'origin',
        ...this.#shared,
        'access-control-allow-methods',
        allowed.join(', '),
        'access-control-allow-headers',
        this.#headers,
        'access-control-max-age',
        this.#maxAge,
      ],
      content: '',
    }
  }

  /** What an answer to a page of another origin carries; refusals too, so that the page can tell them from a network failure. */
  headers(fields: Fields): readonly string[] {
    if (fields.origin === undefined) return this.#origins === undefined ? [] : varyOnly
    const origin = this.#allowed(fields.origin)
    return origin === undefined ? varyOnly : ['access-control-allow-origin', origin, 'vary', 'origin', ...this.#shared, ...this.#exposed]
  }

  #allowed(origin: string | undefined): string | undefined {
    if (origin === undefined) return undefined
    if (this.#origins === undefined) return '*'
    return this.#origins.has(origin) ? origin : undefined
  }
}

const varyOnly: readonly string[] = Object.freeze(['vary', 'origin'])

function requireOrigin(where: string, text: string): void {
  if (!URL.canParse(text) || new URL(text).origin !== text)
    throw new ConfigurationError(
      'ERR_OPTION_INVALID',
      `${where} allowOrigins: "${text}" is no origin; write scheme, host and port only, such as https://app.example.`,
    )
}
