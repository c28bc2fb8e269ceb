/** What must not compile. */
import { cached, type BoundSource, type CredentialSource, type Guard, type Principal } from '@portcullis/core'
import { dropRefused, plaintext } from './danger.ts'
import { client, consumer, producer, type ClientOptions, type StanClient } from './index.ts'

declare const stan: StanClient
declare const policy: Guard<Principal>
declare const source: CredentialSource
declare const identity: BoundSource
declare const tls: ClientOptions['tls']
const place = { client: stan, clientId: 'a', channel: 'orders', durable: 'worker' }
const handle = (): void => undefined

void consumer({ ...place, guard: policy, deadLetter: dropRefused }, handle)
// @ts-expect-error a consumer without a guard
void consumer({ ...place, deadLetter: 'dead' }, handle)
// @ts-expect-error nowhere for what is refused
void consumer({ ...place, guard: policy }, handle)
// @ts-expect-error a subscription that loses its place
void consumer({ client: stan, clientId: 'a', channel: 'orders', guard: policy, deadLetter: 'dead' }, handle)
// @ts-expect-error a producer that says nothing of who it is
void producer({ client: stan })
// @ts-expect-error the signature of one message for all
void producer({ client: stan, identity: cached(identity) })
void client({ servers: 'nats://localhost:4222', clusterId: 'a', tls: plaintext, credentials: 'none' })
// @ts-expect-error TLS cannot be switched off by data
void client({ servers: 'nats://localhost:4222', clusterId: 'a', tls: false, credentials: source })
// @ts-expect-error which cluster is meant
void client({ servers: 'tls://localhost:4222', tls, credentials: source })
// @ts-expect-error who connects
void client({ servers: 'tls://localhost:4222', clusterId: 'a', tls })
