import { ConfigurationError, requireTexts } from '@portcullis/core'
import { isIPv6 } from 'node:net'

/** Where a server listens. */
export interface ServerAt {
  readonly host: string
  readonly port: number
  /** As target of sources. */
  readonly origin: string
}

const defaultPort = '4222'

/** The servers that are meant, from `tls://host:port`, or `nats://host:port` where nothing is encrypted. */
export function serversOf(servers: string | readonly string[], secure: boolean): readonly [ServerAt, ...ServerAt[]] {
  const scheme = secure ? 'tls' : 'nats'
  const [first, ...rest] = requireTexts('client: servers', servers).map((url) => serverOf(url, scheme)) as [ServerAt, ...ServerAt[]]
  return [first, ...rest]
}

function serverOf(url: string, scheme: string): ServerAt {
  const { protocol, hostname, port, username, password, pathname, search } = URL.canParse(url) ? new URL(url) : ({} as Partial<URL>)
  if (protocol !== `${scheme}:` || hostname === undefined || hostname === '' || isIPv6(hostname.slice(1, -1)))
    throw new ConfigurationError(
      'ERR_OPTION_INVALID',
      `client: a server must be of the form ${scheme}://stan.example:4222; tls is demanded unless \`plaintext\` is said, and the library takes no IPv6 address.`,
    )
  if (username !== '' || password !== '' || !['', '/'].includes(pathname ?? '') || search !== '')
    throw new ConfigurationError(
      'ERR_OPTION_INVALID',
      'client: a server names host and port only; a credential in it would be lost at the first renewal, and printed.',
    )
  const at = port === undefined || port === '' ? defaultPort : port
  return { host: hostname, port: Number(at), origin: `${scheme}://${hostname}:${at}` }
}
