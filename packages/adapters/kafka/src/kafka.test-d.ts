import type { CredentialSource, DelegatedSource, Guard } from '@portcullis/core'
import { consumer, producer, type KafkaClient } from './index.ts'
import { client, sasl } from './platformatic/index.ts'

declare const kafka: KafkaClient
declare const guard: Guard
declare const source: CredentialSource
declare const delegated: DelegatedSource
const topics = ['orders'] as const

export function mustNotCompile(): void {
  // @ts-expect-error a consumer without a guard
  void consumer({ client: kafka, group: 'g', topics, deadLetter: 'dead' }, () => undefined)
  // @ts-expect-error no place for refused messages
  void consumer({ client: kafka, group: 'g', topics, guard }, () => undefined)
  // @ts-expect-error no topics
  void consumer({ client: kafka, group: 'g', topics: [], guard, deadLetter: 'dead' }, () => undefined)
  // @ts-expect-error dropping what is refused is a symbol of /danger, no boolean
  void consumer({ client: kafka, group: 'g', topics, guard, deadLetter: false }, () => undefined)
  // @ts-expect-error a producer that does not say who it is
  void producer({ client: kafka })
  // @ts-expect-error a caller's credential is no identity of messages
  void producer({ client: kafka, identity: delegated })
  // @ts-expect-error TLS is no option that may be left out
  void client({ brokers: ['localhost:9092'] })
  // @ts-expect-error plaintext is a symbol of /danger
  void client({ brokers: ['localhost:9092'], tls: false })
  // @ts-expect-error a caller's credential does not go on a shared connection
  sasl({ mechanism: 'OAUTHBEARER', source: delegated, origin: 'kafka://localhost:9092' })
  // @ts-expect-error GSSAPI is not spoken
  sasl({ mechanism: 'GSSAPI', source, origin: 'kafka://localhost:9092' })
}
