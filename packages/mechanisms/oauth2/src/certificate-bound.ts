import { checkOptions, requireFunction } from '@portcullis/core'
import { isTlsBundle, type ClientTlsBundle } from '@portcullis/tls'
import { mistake } from './errors.ts'
import { bind, type TokenSource } from './token-source.ts'

/**
 * Binds the tokens of a source to a client certificate (RFC 8705 section 3): tokens are asked for over mutual TLS with
 * this bundle, at the endpoints that the server has for that. Give the same bundle to the client that sends them. When
 * the bundle is reloaded, new tokens are fetched.
 *
 * That the server really binds them shows at the resource only: it is the server's and the client's configuration.
 */
export function certificateBound(source: TokenSource, options: { readonly tls: ClientTlsBundle }): TokenSource {
  checkOptions<{ readonly tls: ClientTlsBundle }>('certificateBound', options, { tls: true })
  const { tls } = options
  if (!isTlsBundle(tls) || tls.side !== 'client' || tls.expiresAt === undefined)
    throw mistake('ERR_OPTION_INVALID', 'certificateBound tls must be a bundle of a client with a key pair of its own.')
  requireFunction('certificateBound source', source)
  return requireFunction('certificateBound source, made by a grant of this package,', source[bind])({ tls })
}
