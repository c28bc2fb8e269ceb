/** What must not compile. */
import { secret, type Secret } from '@portcullis/core'
import type { ServerTlsBundle } from '@portcullis/tls'
import { createSts, type StsClient, type StsOptions } from './index.ts'

declare const tls: ServerTlsBundle
declare const word: Secret
const audiences = { orders: { scopes: ['read'] } } as const
const shop: StsClient = { id: 'shop', secret: word, grants: ['client_credentials'], audiences: ['orders'], scopes: ['read'] }

void createSts({ tls, audiences, clients: [shop] })

// @ts-expect-error A service without TLS says so by the symbol.
void createSts({ audiences, clients: [shop] })
// @ts-expect-error Tokens are for somebody.
void createSts({ tls, clients: [shop] })
// @ts-expect-error Somebody may ask.
void createSts({ tls, audiences, clients: [] })
// @ts-expect-error A misspelt option is none.
void createSts({ tls, audiences, clients: [shop], audience: 'orders' })
// @ts-expect-error Who may act for whom is a required policy.
void createSts({ tls, audiences, clients: [shop], exchange: {} })

// @ts-expect-error A secret is wrapped.
export const bare: StsClient = { id: 'shop', secret: 'a secret of the shop' }
// @ts-expect-error A client proves itself, or says that it does not.
export const unproven: StsClient = { id: 'shop' }
// @ts-expect-error One proof, so that a stronger one is not gone round by a weaker.
export const twice: StsClient = { id: 'shop', secret: secret('a secret of the shop'), authentication: 'none' }
// @ts-expect-error A way to a token is one of those that exist.
export const implicit: StsClient = { id: 'shop', secret: word, grants: ['implicit'] }
// @ts-expect-error An audience without scopes gives nothing.
export const empty: StsOptions['audiences'] = { orders: { scopes: [] } }
