import { randomUUID } from 'node:crypto'
import { setTimeout as wait } from 'node:timers/promises'
import type { Guard } from '@portcullis/core'
import { brokerKit, content, outcomes } from '@portcullis/test-conformance/broker-kit'
import { describeConformance, type Harness, type Observed } from '@portcullis/testkit'
import { afterAll, beforeAll } from 'vitest'
import type { NativeConsumer, NativeProducer } from './client.ts'
import type { ClientOptions } from './client-options.ts'
import { plaintext } from './danger.ts'
import { consumer, producer, type KafkaClient, type KafkaConsumer } from './index.ts'
import { broker, libraries, user, type TestBroker } from './kafka.test-support.ts'
import { addressOf } from './record.ts'

// By then a dead letter or an answer would have come; a message that waits to be judged brings neither.
const silenceMs = 1_500
const callId = 'call'

let at: TestBroker
let prefix: string
beforeAll(async () => {
  at = await broker()
  prefix = await at.kafka.namespace('alice')
}, 120_000)
afterAll(() => at.close(), 30_000)

const kit = brokerKit({
  broker: 'broker',
  unchallenged: 'a producer is answered by the broker and never by a consumer, so there is nobody to challenge it',
})

function harnessOf(open: (options: ClientOptions) => Promise<KafkaClient>): Harness {
  return {
    mechanism: kit.mechanism,
    unsupported: kit.unsupported,
    async listen({ operations, application }) {
      const run = `${prefix}${randomUUID()}`
      const dead = `${run}-dead`
      const topicOf = (operation: string): string => `${run}-${operation}`
      await at.topics([dead, ...operations.map(({ name }) => topicOf(name))], 1, 'CreateTime')
      const password: ClientOptions = {
        brokers: at.brokers,
        tls: at.tls,
        sasl: { mechanism: 'PLAIN', source: user('alice', 'alice-secret') },
      }
      const kafka = await open(password)
      const waiting = new Map<string, (observed: Observed) => void>()
      const idOf = (headers: readonly (readonly [string, Buffer])[]): string => String(headers.find(([name]) => name === callId)?.[1])
      const opened: { close(): Promise<void> }[] = []
      const consumers = new Map<string, Promise<KafkaConsumer>>()
      // A group is joined when somebody calls: of the operations of a scenario most are never called.
      const consuming = (operation: string): Promise<KafkaConsumer> | undefined => {
        const guard: Guard | undefined = operations.find(({ name }) => name === operation)?.guard
        if (guard === undefined) return undefined
        const started =
          consumers.get(operation) ??
          consumer(
            { client: kafka, group: topicOf(operation), topics: [topicOf(operation)], guard, deadLetter: dead },
            (message, principal) => {
              const answer = application.answer(operation, principal)
              waiting.get(idOf(message.headers))?.({ outcome: 'allowed', answer, wire: answer })
            },
          )
        consumers.set(operation, started)
        return started
      }
      let dying: Promise<NativeConsumer> | undefined
      const deadLetters = (): Promise<NativeConsumer> =>
        (dying ??= kafka.openConsumer({
          group: dead,
          topics: [dead],
          from: 'earliest',
          failed: () => undefined,
          receive: async ({ headers }) => {
            const said = Object.fromEntries(
              headers.filter(([name]) => name.startsWith('portcullis-dead')).map(([name, value]) => [name, String(value)]),
            )
            waiting.get(idOf(headers))?.({
              outcome: outcomes[said['portcullis-dead-letter-reason'] ?? ''] ?? 'closed',
              wire: JSON.stringify(said),
            })
          },
        }))
      const awaited = async (operation: string, send: (id: string) => Promise<void>): Promise<Observed> => {
        const id = randomUUID()
        const answer = new Promise<Observed>((resolve) => waiting.set(id, resolve))
        await send(id)
        await Promise.all([consuming(operation), deadLetters()])
        return Promise.race([answer, wait(silenceMs, { outcome: 'unavailable' as const, wire: '' })])
      }
      return {
        origin: kafka.origin,
        peer: ({ carriers, identity, trust, plaintext: bare }) => {
          let native: Promise<NativeProducer> | undefined
          const way = kit.way()
          const connected = async (): Promise<NativeProducer> => {
            const pair = identity && { identity: { pem: identity.pem } }
            const options: ClientOptions = bare
              ? { brokers: at.brokers, tls: plaintext }
              : way === 'certificate'
                ? { brokers: [at.kafka.mtlsBootstrap], tls: { ...at.tls, ...pair } }
                : { ...password, tls: way === 'kitTrust' ? { side: 'client', trust: { pem: trust } } : at.tls }
            const own = await open(options)
            opened.push({ close: async () => own.close() })
            const producing = await own.openProducer()
            opened.push(producing)
            return producing
          }
          return {
            call: (operation) =>
              awaited(operation, async (id) => {
                const value = Buffer.from(content)
                const headers = carriers.map((carrier) => {
                  const [name, text] = kit.header(carrier, addressOf(topicOf(operation), value))
                  return [name, Buffer.from(text)] as const
                })
                await (
                  await (native ??= connected())
                ).send([{ topic: topicOf(operation), key: undefined, value, headers: [[callId, Buffer.from(id)], ...headers] }])
              }),
          }
        },
        client: async ({ source, tls, plaintextPort }) => {
          const own = await open({
            ...password,
            ...(plaintextPort !== undefined && { brokers: [`localhost:${plaintextPort}`] }),
            ...(kit.way() === 'kitTrust' && { tls }),
            ...(kit.way() === 'otherName' && { serverName: 'other.example' }),
          })
          opened.push({ close: async () => own.close() })
          const sending = await producer({ client: own, identity: kit.signer(source), maxAttempts: 1 })
          opened.push(sending)
          return {
            call: (operation) =>
              awaited(operation, (id) => sending.send({ topic: topicOf(operation), value: content, headers: { [callId]: id } })),
          }
        },
        async close() {
          const running = await Promise.allSettled([...consumers.values(), ...(dying ? [dying] : [])])
          await Promise.all(running.map((one) => (one.status === 'fulfilled' ? one.value.close() : undefined)))
          await Promise.allSettled(opened.toReversed().map((one) => one.close()))
          kafka.close()
        },
      }
    },
  }
}

const [[, preferred]] = libraries
await describeConformance('kafka', harnessOf(preferred))
