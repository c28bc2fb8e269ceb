/** What must not compile. */
import { cached, keepWarm, type Principal } from '@portcullis/core'
import { clientCredentials, dpop, introspection, propagated, type TokenSource } from './index.ts'

declare const tokens: TokenSource
declare const caller: Principal
const target = { origin: 'https://orders.example', secure: true }
const binding = { method: 'GET', uri: 'https://orders.example/' }

// A source of tokens is cached as it is; caching it once more does no harm.
cached(tokens)

const bound = dpop(tokens)
// @ts-expect-error -- a proof is made for one request
cached(bound)
// @ts-expect-error -- a proof is made for one request
keepWarm(bound, target)
// @ts-expect-error -- a proof needs the request
void bound({ target })
void bound({ target, binding })
// @ts-expect-error -- only sources of this package know how to ask for bound tokens
dpop(() => ({ credential: { kind: 'bearer' as const, carrier: 'authorization', token: undefined as never } }))

const delegated = propagated({ to: { 'https://orders.example': { audience: 'orders' } } })
// @ts-expect-error -- a caller's credential is nobody else's
cached(delegated)
// @ts-expect-error -- a call on behalf of nobody
void delegated({ target })
void delegated({ target, onBehalfOf: caller })
// @ts-expect-error -- to whom is a required question
propagated({})
// @ts-expect-error -- a target that takes tokens has a name
propagated({ to: { 'https://orders.example': {} } })
// @ts-expect-error -- issuer and audience are required
introspection({ server: undefined as never, client: undefined as never })
// @ts-expect-error -- a source without targets
clientCredentials({ server: undefined as never, client: undefined as never })
// @ts-expect-error -- a list of nothing
clientCredentials({ server: undefined as never, client: undefined as never, targets: [] })
