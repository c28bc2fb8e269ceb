import { generateKeyPairSync } from 'node:crypto'
import { secret, type AuditEvent, type Authenticator, type CredentialSource, type Principal } from '@portcullis/core'
import { messageSigner, signedMessages } from '@portcullis/message'
import { createIssuer, startKafka, type Kafka, type KafkaOptions } from '@portcullis/test-servers'
import { tlsBundle } from '@portcullis/tls'
import { Admin } from '@platformatic/kafka'
import { attempts } from './attempts.ts'
import type { ClientOptions } from './client-options.ts'
import { guard, scope, type ConsumerOptions, type KafkaClient } from './index.ts'
import { client as kafkajs } from './kafkajs/index.ts'
import { client as platformatic, sasl, ssl } from './platformatic/index.ts'

/** Both libraries: every test of the API runs with each. */
type Library = readonly [name: string, client: (options: ClientOptions) => Promise<KafkaClient>]

export const libraries: readonly [Library, Library] = [
  ['@platformatic/kafka', platformatic],
  ['kafkajs', kafkajs],
]

/** A broker with users and tokens. */
export async function broker({ tokens: takesTokens = true, ...options }: KafkaOptions & { readonly tokens?: boolean } = {}) {
  const issuer = createIssuer()
  const kafka = await startKafka({
    users: { alice: 'alice-secret', bob: 'bob-secret' },
    ...(takesTokens && { oauth: { jwks: issuer.jwksFile, issuer: issuer.issuer, audience: 'kafka' } }),
    ...options,
    properties: { 'auto.create.topics.enable': 'false', ...options.properties },
  })
  const tls = { side: 'client', trust: { pemFile: kafka.pki.ca.certificateFile } } as const
  const origin = `kafka://${kafka.saslBootstrap}`
  const bundle = await tlsBundle(tls)
  const admin = new Admin({
    clientId: 'admin',
    bootstrapBrokers: [kafka.saslBootstrap],
    ...ssl(bundle),
    ...sasl({ mechanism: 'PLAIN', origin, source: user('admin', kafka.users['admin'] ?? '') }),
  })
  /** Makes topics whose time is the broker's. */
  const topics = async (
    names: readonly string[],
    partitions = 1,
    time: 'LogAppendTime' | 'CreateTime' = 'LogAppendTime',
    maxBytes?: number,
  ) => {
    const configs = [
      { name: 'message.timestamp.type', value: time },
      ...(maxBytes === undefined ? [] : [{ name: 'max.message.bytes', value: String(maxBytes) }]),
    ]
    await admin.createTopics({ topics: [...names], partitions, replicas: 1, configs })
    // What the broker has made it does not lead yet for a moment, and who writes in between is refused.
    const partitionsOf = Array.from({ length: partitions }, (_, partitionIndex) => ({ partitionIndex, timestamp: -1n }))
    await attempts('topics', 50)(() => admin.listOffsets({ topics: names.map((name) => ({ name, partitions: partitionsOf })) }))
  }
  const close = async (): Promise<void> => {
    await admin.close().catch(() => undefined)
    bundle.close()
    await kafka[Symbol.asyncDispose]()
  }
  return { kafka, issuer, tls, origin, brokers: [kafka.saslBootstrap] as const, topics, close }
}
export type TestBroker = Awaited<ReturnType<typeof broker>>

/** A source of a user's name and password. */
export const user =
  (username: string, password: string): CredentialSource =>
  () => ({ credential: { kind: 'basic', carrier: 'sasl', username, password: secret(password) } })
/** A source of tokens, each new. */
export const tokens =
  (token: () => string): CredentialSource =>
  () => ({ credential: { kind: 'bearer', carrier: 'sasl', token: secret(token()) } })

export const keys = generateKeyPairSync('ec', { namedCurve: 'P-256' })

/** Signs for a broker as `urn:shop`, for the audience `urn:warehouse`. */
export function signer(origin: string, key = keys.privateKey, more: readonly string[] = []) {
  return messageSigner({
    issuer: 'urn:shop',
    key: { privateKey: key },
    audience: 'urn:warehouse',
    headers: ['tenant'],
    targets: [origin, ...more],
  })
}
export function signatures(options: Partial<Parameters<typeof signedMessages>[0]> = {}): Authenticator {
  return signedMessages({
    audience: 'urn:warehouse',
    signers: [{ issuer: 'urn:shop', keys: { publicKey: keys.publicKey }, scopes: ['orders:publish'] }],
    maxAgeMs: 600_000,
    ...options,
  })
}
/** A guard of signed messages, and what it told. */
export function guarded(authenticate: Authenticator = signatures()) {
  const events: AuditEvent[] = []
  return { events, guard: guard({ authenticate, authorize: scope('orders:publish'), audit: (event) => events.push(event) }) }
}

export type Options = ConsumerOptions<Principal>
export type { Kafka }
