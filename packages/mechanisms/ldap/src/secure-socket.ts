import { UnavailableError } from '@portcullis/core'
import type { ClientTlsBundle } from '@portcullis/tls'
import { attachClient, secureClientOptions } from '@portcullis/tls'
import { once } from 'node:events'
import { connect as connectTcp } from 'node:net'
import type { Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import type { TLSSocket } from 'node:tls'
import { exchange, startTlsQuestion } from './exchange.ts'

/** Where a directory is, and how TLS begins there. */
export interface DirectoryAddress {
  readonly host: string
  readonly port: number
  /** `ldaps` from the first byte, or `startTls` after asking in the clear (RFC 4511 section 4.14). */
  readonly tls: 'ldaps' | 'startTls'
}

// An idle connection that a firewall has dropped is noticed after some minutes instead of at the next login.
const keepAliveAfterMs = 60_000

/**
 * Opens a connection to a directory whose certificate was verified; nothing but the request for StartTLS is sent
 * before. `timeoutMs` bounds all of it together.
 *
 * Throws `ERR_LDAP_TIMEOUT`, `ERR_LDAP_STARTTLS`, `ERR_LDAP_UNREACHABLE`, or the reason of the signal.
 */
export async function openSecureSocket(
  address: DirectoryAddress,
  tls: ClientTlsBundle,
  timeoutMs: number,
  signal?: AbortSignal,
): Promise<TLSSocket> {
  signal?.throwIfAborted()
  const where = `${address.host}:${address.port}`
  const bound = new AbortController()
  const timeout = setTimeout(
    () => bound.abort(new UnavailableError('ERR_LDAP_TIMEOUT', `${where} was not reached within ${timeoutMs} ms.`)),
    timeoutMs,
  )
  const onAbort = (): void => bound.abort(signal?.reason)
  signal?.addEventListener('abort', onAbort, { once: true })
  const tcp = connectTcp({
    host: address.host,
    port: address.port,
    noDelay: true,
    keepAlive: true,
    keepAliveInitialDelay: keepAliveAfterMs,
  })
  try {
    return await Promise.race([openOn(tcp, address, tls, timeoutMs), aborted(bound.signal)])
  } catch (error) {
    tcp.on('error', ignore)
    tcp.destroy()
    bound.signal.throwIfAborted()
    if (error instanceof UnavailableError) throw error
    throw new UnavailableError('ERR_LDAP_UNREACHABLE', {
      message: `${where} cannot be reached securely: ${error instanceof Error ? error.message : 'unknown error'}.`,
      cause: error,
    })
  } finally {
    clearTimeout(timeout)
    signal?.removeEventListener('abort', onAbort)
  }
}

async function openOn(tcp: Socket, address: DirectoryAddress, tls: ClientTlsBundle, timeoutMs: number): Promise<TLSSocket> {
  await once(tcp, 'connect')
  if (address.tls === 'startTls' && (await exchange(tcp, startTlsQuestion(), timeoutMs)) !== 0) {
    throw new UnavailableError('ERR_LDAP_STARTTLS', 'The directory refused StartTLS.')
  }
  const socket = connectTls({ ...secureClientOptions(tls, { host: address.host }), socket: tcp })
  try {
    await once(socket, 'secureConnect')
    attachClient(socket, tls)
    return socket
  } catch (error) {
    socket.on('error', ignore)
    socket.destroy()
    throw error
  }
}

function aborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason), { once: true }))
}

function ignore(): void {}
