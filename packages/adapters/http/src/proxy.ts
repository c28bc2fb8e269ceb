import { BlockList, isIP } from 'node:net'
import { checkOptions, ConfigurationError, requireTexts } from '@portcullis/core'

/** Options of {@link tlsTerminatedBy}. */
export interface TlsTerminatedByOptions {
  /** Addresses or CIDR ranges of the proxies, as this process sees them: `10.0.3.7`, `10.0.3.0/24`, `::1`. */
  readonly proxies: readonly [string, ...string[]]
  /** The fields that they set: `forwarded` (RFC 7239), or `x-forwarded` for `X-Forwarded-For` and `X-Forwarded-Proto`. */
  readonly header: 'forwarded' | 'x-forwarded'
}

/** What a named proxy says of the far end. */
export interface ForwardedFacts {
  readonly secure: boolean
  readonly remoteAddress: string | undefined
}

const forwardedNames: ReadonlySet<string> = new Set([
  'forwarded',
  'x-forwarded-for',
  'x-forwarded-proto',
  'x-forwarded-host',
  'x-forwarded-port',
  'x-real-ip',
  'x-forwarded-client-cert',
  'client-cert',
  'client-cert-chain',
])
// What each of the settings speaks of; everything else is whatever the far end wrote, and a proxy may have let pass.
const believedNames: Readonly<Record<TlsTerminatedByOptions['header'], ReadonlySet<string>>> = {
  forwarded: new Set(['forwarded']),
  'x-forwarded': new Set(['x-forwarded-for', 'x-forwarded-proto']),
}
// Hops beyond this are nobody's infrastructure.
const maxHops = 16

/** Made by {@link tlsTerminatedBy}. */
export class TlsTermination {
  readonly #proxies: BlockList
  readonly #header: TlsTerminatedByOptions['header']

  constructor(options: TlsTerminatedByOptions) {
    this.#proxies = blockList(options.proxies)
    this.#header = options.header
  }

  /**
   * What is believed of the far end; and takes out of `rawHeaders`, and of what Node has parsed of them, every forwarded
   * field that is not believed, so that no handler behind the guard believes it either.
   */
  facts(peerAddress: string | undefined, rawHeaders: string[], parsed: Record<string, unknown> = {}): ForwardedFacts {
    const named = peerAddress !== undefined && this.#isProxy(peerAddress)
    const believed: Record<string, string[]> = { forwarded: [], 'x-forwarded-for': [], 'x-forwarded-proto': [] }
    let kept = 0
    for (let at = 0; at < rawHeaders.length; at += 2) {
      const name = rawHeaders[at] ?? ''
      const value = rawHeaders[at + 1] ?? ''
      const lower = name.length >= 9 ? name.toLowerCase() : ''
      if (forwardedNames.has(lower)) {
        if (!named || !believedNames[this.#header].has(lower)) {
          delete parsed[lower]
          continue
        }
        believed[lower]?.push(value)
      }
      rawHeaders[kept++] = name
      rawHeaders[kept++] = value
    }
    rawHeaders.length = kept
    if (!named) return { secure: false, remoteAddress: peerAddress }
    return this.#header === 'forwarded'
      ? this.#fromForwarded(believed['forwarded'] ?? [], peerAddress)
      : this.#fromLists(believed, peerAddress)
  }

  #isProxy(address: string): boolean {
    const version = isIP(address)
    return version !== 0 && this.#proxies.check(address, version === 6 ? 'ipv6' : 'ipv4')
  }

  // Read from the right: what stands furthest left was written by whoever likes to.
  #fromForwarded(values: readonly string[], peerAddress: string): ForwardedFacts {
    const elements = values.join(',').split(',').slice(-maxHops).toReversed()
    let secure = false
    for (const element of elements) {
      const parameters = new Map(
        element
          .split(';')
          .map(
            (pair) => [pair.slice(0, pair.indexOf('=')).trim().toLowerCase(), unquote(pair.slice(pair.indexOf('=') + 1).trim())] as const,
          ),
      )
      secure = parameters.get('proto')?.toLowerCase() === 'https'
      const address = addressOf(parameters.get('for') ?? '')
      if (address === undefined || !this.#isProxy(address)) return { secure, remoteAddress: address }
    }
    return { secure, remoteAddress: peerAddress }
  }

  #fromLists(believed: Readonly<Record<string, string[]>>, peerAddress: string): ForwardedFacts {
    const last = (name: string): string[] =>
      (believed[name] ?? [])
        .join(',')
        .split(',')
        .slice(-maxHops)
        .map((text) => text.trim())
        .toReversed()
    const secure = last('x-forwarded-proto')[0]?.toLowerCase() === 'https'
    for (const text of last('x-forwarded-for')) {
      const address = addressOf(text)
      if (address === undefined || !this.#isProxy(address)) return { secure, remoteAddress: address }
    }
    return { secure, remoteAddress: peerAddress }
  }
}

/**
 * In place of `tls`, for a listener behind a proxy that ends the TLS: the listener speaks HTTP/1.1 in clear, and a
 * request counts as secure only if one of these proxies sent it and says that it came over https. Everything else is
 * refused, and forwarded fields of everybody else are removed before any handler sees them.
 *
 * Not checked: that nobody else can send from such an address, and that the network between is yours. Certificates of
 * clients do not come through; end the TLS here where they matter.
 */
export function tlsTerminatedBy(options: TlsTerminatedByOptions): TlsTermination {
  checkOptions<TlsTerminatedByOptions>('tlsTerminatedBy', options, { proxies: true, header: true })
  requireTexts('tlsTerminatedBy proxies', options.proxies)
  if (options.header !== 'forwarded' && options.header !== 'x-forwarded')
    throw new ConfigurationError(
      'ERR_OPTION_INVALID',
      'tlsTerminatedBy `header` is "forwarded" or "x-forwarded": the one that the proxy sets and overwrites.',
    )
  return new TlsTermination(options)
}

function blockList(proxies: readonly string[]): BlockList {
  const list = new BlockList()
  for (const text of proxies) {
    const [address = '', prefix] = text.split('/')
    const version = isIP(address)
    const bits = prefix === undefined ? (version === 6 ? 128 : 32) : Number(prefix)
    // A prefix of 0 would name everybody as proxy.
    if (version === 0 || !Number.isInteger(bits) || bits < 1 || bits > (version === 6 ? 128 : 32))
      throw new ConfigurationError('ERR_OPTION_INVALID', `tlsTerminatedBy: "${text}" is no address and no CIDR range.`)
    list.addSubnet(address, bits, version === 6 ? 'ipv6' : 'ipv4')
  }
  return list
}

function unquote(text: string): string {
  return text.startsWith('"') && text.endsWith('"') ? text.slice(1, -1) : text
}

/** Takes off a port and brackets; `undefined` for names, `unknown` and obfuscated identifiers. */
function addressOf(text: string): string | undefined {
  const bare = /^\[([^\]]+)\](?::\d+)?$/.exec(text)?.[1] ?? /^(\d+\.\d+\.\d+\.\d+):\d+$/.exec(text)?.[1] ?? text
  return isIP(bare) === 0 ? undefined : bare
}
