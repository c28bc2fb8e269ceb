import { secret, type AccessRequest, type Credential } from '@portcullis/core'
import { decode, type AuthorizationRequest } from '@nats-io/jwt'
import type { KeyPair } from '@nats-io/nkeys'

/** What a server asks, as far as it was proven: signed by the server, sealed for us, and meant for this moment. */
export interface ProvenRequest {
  readonly userKey: string
  readonly serverKey: string
  readonly serverXkey: string
  readonly asked: Asked
}

/** What it says of the connection. */
export type Asked = Pick<AuthorizationRequest, 'client_info' | 'connect_opts' | 'client_tls'>

/** A server's clock may be this far from ours. */
const clockToleranceSeconds = 60
const audience = 'nats-authorization-request'

/**
 * Opens a request and checks it: sealed by the very server that signed it, for this service, not out of date, and by one
 * of `servers`, if they are given. Returns why not, in words that hold nothing of it.
 */
export function readRequest(
  data: Uint8Array,
  serverXkey: string | undefined,
  xkey: KeyPair,
  servers: ReadonlySet<string> | undefined,
  nowMs: number,
): ProvenRequest | string {
  if (serverXkey === undefined || serverXkey === '') return 'it is not sealed; the server needs `xkey`'
  try {
    const opened = xkey.open(data, serverXkey)
    if (opened === null) return 'it is not sealed for this service'
    // This verifies the signature, by whatever key the claims name.
    const { iss, aud, iat, exp, nats } = decode<AuthorizationRequest>(Buffer.from(opened).toString())
    const { server_id: server, user_nkey: userKey, client_info, connect_opts } = nats
    if (server === undefined || client_info === undefined || connect_opts === undefined) return 'it is no authorization request'
    if (!iss.startsWith('N') || iss !== server.id) return 'it was not signed by the server that it names'
    if (server.xkey !== serverXkey) return 'it was sealed by another than who signed it'
    if (servers !== undefined && !servers.has(iss)) return 'its server is not among the known ones'
    if (aud !== audience || userKey?.startsWith('U') !== true) return 'it is no authorization request'
    const now = nowMs / 1_000
    if ((exp ?? 0) + clockToleranceSeconds <= now || iat > now + clockToleranceSeconds) return 'it is out of date'
    return { userKey, serverKey: iss, serverXkey, asked: { ...nats, client_info, connect_opts } }
  } catch {
    return 'it cannot be read'
  }
}

/** A connection that wants in, in no protocol's words. That it came over TLS is what the server says of it. */
export function describeConnection({ client_info: client, connect_opts: options, client_tls: tls }: Asked): AccessRequest {
  const { user = '', pass = '', auth_token: token = '', jwt = '', nkey = '' } = options
  const credentials: Credential[] = []
  if (user !== '' || pass !== '') credentials.push({ kind: 'basic', carrier: 'connect:user', username: user, password: secret(pass) })
  if (token !== '') credentials.push({ kind: 'bearer', carrier: 'connect:auth_token', token: secret(token) })
  // The server checks these itself where it knows them; here nobody has.
  if (jwt !== '' || nkey !== '')
    credentials.push({ kind: 'malformed', carrier: 'connect:nkey', why: 'an NKey or user JWT is not judged by a guard' })
  return {
    credentials,
    action: 'connect',
    resource: 'nats',
    attributes: { clientName: client.name ?? options.name ?? '', connection: client.kind ?? '' },
    channel: {
      from: 'peer',
      protocol: 'nats',
      secure: tls?.version !== undefined && tls.version !== '',
      ...(client.host !== undefined && { remoteAddress: client.host }),
    },
  }
}
