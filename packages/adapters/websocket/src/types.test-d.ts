/** What must not compile. */
import { everyone, guard, type BoundSource, type CredentialSource, type DelegatedSource, type Principal } from '@portcullis/core'
import type { Listener } from '@portcullis/http'
import type { ServerTlsBundle } from '@portcullis/tls'
import { connect, serve, websocket } from './index.ts'
import { tokens } from './service.test-support.ts'

declare const tls: ServerTlsBundle
declare const server: Listener
declare const source: CredentialSource
declare const bound: BoundSource
declare const delegated: DelegatedSource
declare const typed: ReturnType<typeof guard<Principal<{ readonly tenant: string }>>>
const policy = guard({ authenticate: tokens() })
const onMessage = (): void => undefined

// @ts-expect-error a listener without a guard
void serve({ tls, port: 0 }, () => undefined)
// @ts-expect-error an endpoint without a guard
websocket({ server, path: '/' }, () => undefined)
// @ts-expect-error an endpoint without a path
websocket({ server, guard: policy }, () => undefined)
// @ts-expect-error every origin cannot be allowed by data
websocket({ server, path: '/', guard: policy, origins: true }, () => undefined)
// @ts-expect-error a claim that the guard's principals do not have
websocket({ server, path: '/', guard: policy }, (_socket, principal) => void principal.claims.tenant.length)
websocket(
  { server, path: '/', guard: typed },
  (socket, principal) => void (principal.claims.tenant.length + socket.principal.claims.tenant.length),
)
// @ts-expect-error an anonymous peer has no claims
websocket({ server, path: '/', guard: guard({ authenticate: everyone() }) }, (socket) => void socket.principal.claims)
// @ts-expect-error an action is named, not guessed
websocket({ server, path: '/', guard: policy, message: {} }, () => undefined)

void connect({ url: 'wss://localhost', credentials: source, onMessage })
void connect({ url: 'wss://localhost', credentials: bound, onMessage })
// @ts-expect-error one connection has one caller: a source of callers' credentials has no place
void connect({ url: 'wss://localhost', credentials: delegated, onMessage })
// @ts-expect-error verification cannot be switched off by a boolean
void connect({ url: 'wss://localhost', onMessage, tls: { side: 'client', rejectUnauthorized: false } })
// @ts-expect-error a client that listens to nothing
void connect({ url: 'wss://localhost', credentials: source })
