import { Client, makeClientConstructor, type Metadata, type ServiceError } from '@grpc/grpc-js'
import { client, everyone, guard, onBehalfOf, principalOf, serve, service, type Anonymous, type Guard, type Principal } from './index.ts'
import { development as tls, texts } from './text-service.test-support.ts'

interface Tenant {
  readonly [name: string]: unknown
  readonly tenant: string
}
declare const orders: Guard<Principal<Tenant>>
declare const call: { readonly metadata: Metadata }
const open: Guard<Anonymous> = guard({ authenticate: everyone() })
const { say, follow } = texts

// @ts-expect-error -- a listener without a guard
void serve({ tls })
// @ts-expect-error -- a misspelt option
void serve({ tls, guard: orders, maxConnection: 5 })
// @ts-expect-error -- a service without a guard
service({ definition: { say }, handlers: { say: () => '' } })
// @ts-expect-error -- a method without a handler
service({ definition: { say, follow }, guard: orders, handlers: { say: () => '' } })
// @ts-expect-error -- an answer of the wrong type
service({ definition: { say }, guard: orders, handlers: { say: () => 5 } })
// @ts-expect-error -- a guard of a method that does not exist
service({ definition: { say }, guard: orders, guards: { shout: open }, handlers: { say: () => '' } })

service({
  definition: { say, follow },
  guard: orders,
  guards: { follow: open },
  handlers: {
    say: ({ request }, { claims }) => request.toUpperCase() + claims.tenant.toUpperCase(),
    // @ts-expect-error -- who is covered by everyone() has no claims
    follow: (stream, principal) => stream.write(principal.claims),
  },
})

principalOf(orders, call).claims.tenant.toUpperCase()
// @ts-expect-error -- no such claim
principalOf(orders, call).claims.tenant.toFixed()

declare class GeneratedClient extends Client {
  say(text: string, answer: (error: ServiceError | null, text: string) => void): void
}
const place = { host: 'localhost', port: 1, tls: tls.client }
;(await client(GeneratedClient, place)).say('hello', (_error, text) => text.toUpperCase())
// @ts-expect-error -- a method that the class does not have
;(await client(GeneratedClient, place)).shout('hello')
void client(makeClientConstructor(texts, 'Texts'), place)

// @ts-expect-error -- a client without TLS
void client(Client, { host: 'localhost', port: 1 })
// @ts-expect-error -- a look-alike principal
onBehalfOf({ issuer: 'i', subject: 'alice' })
