import { ConfigurationError, requireTexts } from '@portcullis/core'

/** Where a server listens. */
export interface ServerAt {
  readonly host: string
  readonly port: number
  /** As target of sources. */
  readonly origin: string
}

const defaultPort = 4222

/** The servers that are meant, from `tls://host:port`; there is no way to say one without TLS. */
export function serversOf(servers: string | readonly string[]): readonly [ServerAt, ...ServerAt[]] {
  const [first, ...rest] = requireTexts('servers', servers).map(serverOf) as [ServerAt, ...ServerAt[]]
  return [first, ...rest]
}

function serverOf(url: string): ServerAt {
  const parsed = URL.canParse(url) ? new URL(url) : undefined
  if (parsed?.protocol !== 'tls:' || parsed.hostname === '')
    throw new ConfigurationError(
      'ERR_OPTION_INVALID',
      'A server must be of the form tls://nats.example:4222; there is no way to speak without TLS.',
    )
  if (parsed.username !== '' || parsed.password !== '' || !['', '/'].includes(parsed.pathname) || parsed.search !== '')
    throw new ConfigurationError(
      'ERR_OPTION_INVALID',
      'A server names host and port only; a credential in it would be lost at the first renewal, and printed.',
    )
  const port = parsed.port === '' ? defaultPort : Number(parsed.port)
  return { host: parsed.hostname.replace(/^\[|\]$/g, ''), port, origin: `tls://${parsed.hostname}:${port}` }
}
