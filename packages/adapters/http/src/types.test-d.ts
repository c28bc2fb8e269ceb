/** What must not compile. */
import {
  cached,
  everyone,
  guard,
  scope,
  type BoundSource,
  type CredentialSource,
  type DelegatedSource,
  type Principal,
} from '@portcullis/core'
import type { ServerTlsBundle } from '@portcullis/tls'
import { client, json, resource, serve, service } from './index.ts'
import { tokens } from './service.test-support.ts'

declare const tls: ServerTlsBundle
declare const source: CredentialSource
declare const bound: BoundSource
declare const delegated: DelegatedSource
declare const caller: Principal
declare const typed: ReturnType<typeof guard<Principal<{ readonly tenant: string }>>>
const policy = guard({ authenticate: tokens })

// @ts-expect-error a listener without a guard
void serve({ tls, port: 0 }, () => json({}))
// @ts-expect-error a listener without TLS
void serve({ guard: policy, port: 0 }, () => json({}))
// @ts-expect-error TLS cannot be switched off by data
void serve({ tls: false, guard: policy, port: 0 }, () => json({}))
// @ts-expect-error a claim that the guard's principals do not have
void serve({ tls, guard: policy, port: 0 }, (_request, principal) => json({ tenant: principal.claims.tenant.length }))
void serve({ tls, guard: typed, port: 0 }, (_request, principal) => json({ tenant: principal.claims.tenant.length }))
// @ts-expect-error an anonymous peer has no claims
void serve({ tls, guard: guard({ authenticate: everyone() }), port: 0 }, (_request, principal) => json(principal.claims))
// @ts-expect-error a handler must answer
void serve({ tls, guard: policy, port: 0 }, () => undefined)

service({
  path: '/',
  guard: typed,
  resources: [
    { method: 'GET', path: '/', authorize: scope('a'), handler: (_request, principal) => json({ tenant: principal.claims.tenant.length }) },
  ],
})
// @ts-expect-error a service without a guard
service({ path: '/', resources: [{ method: 'GET', path: '/', handler: () => json({}) }] })
// @ts-expect-error a service without resources
service({ path: '/', guard: typed, resources: [] })
// @ts-expect-error a guard of its own, and the handler typed by the service's
service({ path: '/', guard: typed, resources: [{ method: 'GET', path: '/', guard: policy, handler: () => json({}) }] })
// @ts-expect-error the handler's principal is of the resource's own guard
resource({ method: 'GET', path: '/', guard: policy, handler: (_request, principal) => json({ tenant: principal.claims.tenant.length }) })
// @ts-expect-error a resource without a guard
resource({ method: 'GET', path: '/', handler: () => json({}) })

const onBehalf = await client({ credentials: delegated })
// @ts-expect-error a delegated call without its caller
void onBehalf('https://localhost')
// @ts-expect-error a delegated call without its caller
void onBehalf('https://localhost', { method: 'GET' })
// @ts-expect-error a look-alike is no caller
void onBehalf('https://localhost', { onBehalfOf: { ...caller } })
void onBehalf('https://localhost', { onBehalfOf: caller })
void (await client({ credentials: source }))('https://localhost')
void (await client({ credentials: bound }))('https://localhost')
// @ts-expect-error a caller's credential is not cached
cached(delegated)
// @ts-expect-error verification cannot be switched off by a boolean
void client({ tls: { side: 'client', rejectUnauthorized: false } })
