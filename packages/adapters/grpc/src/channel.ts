import { ChannelCredentials, CallCredentials, type experimental } from '@grpc/grpc-js'
import { UnavailableError } from '@portcullis/core'
import { attachClient, secureClientOptions, type ClientTlsBundle, type ServerAddress, type TlsErrorCode } from '@portcullis/tls'
import type { Socket } from 'node:net'
import { connect, type TLSSocket } from 'node:tls'

// Three retransmissions on a bad line, as in the bundles.
const handshakeTimeoutMs = 10_000

/**
 * Channel credentials that are a bundle: each connection is made with what the bundle says at that moment, and cut when
 * the server's certificate is no longer trusted. The library's own hold the key pair that they were made with, or take
 * no more of a bundle than certificates.
 */
export class BundleCredentials extends ChannelCredentials {
  readonly #bundle: ClientTlsBundle
  readonly #address: ServerAddress

  constructor(bundle: ClientTlsBundle, address: ServerAddress) {
    super()
    this.#bundle = bundle
    this.#address = address
  }

  _isSecure(): boolean {
    return true
  }

  /** The library shares connections between channels whose credentials are equal. */
  _equals(other: ChannelCredentials): boolean {
    return this === other
  }

  _createSecureConnector(_target: unknown, _options: unknown, credentials = CallCredentials.createEmpty()): experimental.SecureConnector {
    return {
      connect: async (socket) => ({ socket: await this.#secured(socket), secure: true }),
      waitForReady: () => Promise.resolve(),
      getCallCredentials: () => credentials,
      destroy: () => undefined,
    }
  }

  #secured(socket: Socket): Promise<TLSSocket> {
    return new Promise((resolve, reject) => {
      const secure = connect({ ...secureClientOptions(this.#bundle, { ...this.#address, alpn: ['h2'] }), socket })
      const failed = (error?: Error): void => {
        clearTimeout(timer)
        secure.destroy()
        reject(error ?? new UnavailableError<TlsErrorCode>('ERR_TLS_CONNECT', 'The server closed the connection in the handshake.'))
      }
      const closed = (): void => failed()
      const timer = setTimeout(closed, handshakeTimeoutMs)
      secure.once('error', failed).once('close', closed)
      secure.once('secureConnect', () => {
        if (secure.alpnProtocol !== 'h2')
          return failed(new UnavailableError<TlsErrorCode>('ERR_TLS_ALPN', 'The server does not speak HTTP/2.'))
        clearTimeout(timer)
        secure.off('close', closed)
        secure.off('error', failed)
        // The library adds its own listener in a later tick.
        secure.on('error', () => undefined)
        attachClient(secure, this.#bundle)
        return resolve(secure)
      })
    })
  }
}
