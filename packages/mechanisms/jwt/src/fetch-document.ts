import { ConfigurationError } from '@portcullis/core'

/** The part of `fetch` that is used here: the global one fits, and so do the clients of `@portcullis/http`. */
export type Fetch = (
  url: string,
  init: { readonly method: 'GET'; readonly headers: Record<string, string>; readonly redirect: 'manual'; readonly signal: AbortSignal },
) => Promise<FetchResponse>

/** The part of a `Response` that is used here. */
export interface FetchResponse {
  readonly status: number
  readonly headers: { get(name: string): string | null }
  readonly body: ReadableStream<Uint8Array> | null
}

// An issuer that moved its key set within its own origin is found; a chain of moves is not worth following.
const maxRedirects = 3

/** Refuses anything but an absolute HTTPS URL without user name and password; returns it. */
export function requireHttps(where: string, url: string | URL): URL {
  const parsed = URL.canParse(String(url)) ? new URL(String(url)) : undefined
  if (parsed === undefined || parsed.protocol !== 'https:' || parsed.username !== '' || parsed.password !== '') {
    throw new ConfigurationError('ERR_OPTION_INVALID', `${where} must be an https URL without user name and password.`)
  }
  return parsed
}

/**
 * Fetches a text of bounded size in a bounded time. Redirects are followed within the origin only: keys are believed
 * because of where they stand. Rejects with an `Error` that says why.
 */
export async function fetchDocument(
  fetchIt: Fetch,
  url: URL,
  limits: { readonly timeoutMs: number; readonly maxBytes: number },
): Promise<string> {
  const signal = AbortSignal.timeout(limits.timeoutMs)
  let place = url
  for (let redirects = 0; ; redirects++) {
    const response = await fetchIt(place.href, {
      method: 'GET',
      headers: { accept: 'application/jwk-set+json, application/json' },
      redirect: 'manual',
      signal,
    })
    if (response.status === 200) return readText(response, limits.maxBytes, signal)
    await response.body?.cancel().catch(() => undefined)
    const location = response.headers.get('location')
    if (response.status < 300 || response.status > 399 || location === null)
      throw new Error(`It was answered with status ${response.status}.`)
    if (redirects >= maxRedirects) throw new Error(`It was redirected more than ${maxRedirects} times.`)
    const next = URL.canParse(location, place.href) ? new URL(location, place) : undefined
    if (next === undefined || next.origin !== url.origin) throw new Error('It was redirected to another origin.')
    place = next
  }
}

async function readText(response: FetchResponse, maxBytes: number, signal: AbortSignal): Promise<string> {
  const reader = response.body?.getReader()
  if (reader === undefined) throw new Error('The answer is empty.')
  // Whatever the fetch given does with its signal, reading ends in time.
  const stop = (): void => void reader.cancel(signal.reason).catch(() => undefined)
  signal.addEventListener('abort', stop, { once: true })
  try {
    const chunks: Uint8Array[] = []
    let bytes = 0
    for (;;) {
      const { done, value } = await reader.read()
      signal.throwIfAborted()
      if (done) return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(Buffer.concat(chunks))
      bytes += value.byteLength
      if (bytes > maxBytes) throw new Error(`The answer has more than ${maxBytes} bytes.`)
      chunks.push(value)
    }
  } finally {
    signal.removeEventListener('abort', stop)
    await reader.cancel().catch(() => undefined)
  }
}
