import { checkOptions, type CredentialSource } from '@portcullis/core'
import { connectTls, isTlsBundle, tlsBundle, type ClientTlsBundle, type ClientTlsOptions } from '@portcullis/tls'
import type { TLSSocket } from 'node:tls'
import { present } from './present.ts'

/** What {@link connect} takes. */
export interface ConnectOptions {
  readonly host: string
  readonly port: number
  /** Whom it trusts, and its own key pair if it has one. */
  readonly tls: ClientTlsBundle | ClientTlsOptions
  /** Where the certificate's name is not `host`. */
  readonly serverName?: string
  /** Feeds the first line; asked anew for each connection. Without one only the certificate speaks. */
  readonly source?: CredentialSource
  readonly signal?: AbortSignal
}

/**
 * Connects over TLS, checks the server's certificate and name, and presents itself. There is no way to do it without TLS.
 *
 * The protocol has no answer to a credential: a listener that refuses it closes the connection, which shows as its end.
 * Rejects with what `connectTls` and the source throw, and with `ERR_TCP_CREDENTIAL`; the credential is fetched before
 * the connection is made, so that a listener's first-line time-out does not run meanwhile.
 */
export async function connect(options: ConnectOptions): Promise<TLSSocket> {
  checkOptions<ConnectOptions>('connect', options, { host: true, port: true, tls: true, serverName: true, source: true, signal: true })
  const { host, port, tls, serverName, source, signal } = options
  const line =
    source === undefined
      ? undefined
      : present(
          (await source({ target: { origin: `tcp://${serverName ?? host}:${port}`, secure: true }, ...(signal && { signal }) })).credential,
        )
  const bundle = await tlsBundle(tls)
  // Who makes a bundle closes it.
  const release = (): void => {
    if (!isTlsBundle(tls)) bundle.close()
  }
  const socket = await connectTls(bundle, { host, port, ...(serverName !== undefined && { serverName }), ...(signal && { signal }) }).catch(
    (error: unknown) => {
      release()
      throw error
    },
  )
  socket.once('close', release)
  if (line !== undefined) socket.write(line)
  return socket
}
