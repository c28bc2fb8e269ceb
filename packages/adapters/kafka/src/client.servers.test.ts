import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { broker, guarded, libraries, signer, tokens, user, type TestBroker } from './kafka.test-support.ts'
import { consumer, producer, type KafkaMessage } from './index.ts'

let at: TestBroker
let prefix: string
beforeAll(async () => {
  at = await broker()
  prefix = await at.kafka.namespace('alice', 'service')
}, 120_000)
afterAll(() => at.close(), 30_000)

describe.each(libraries)('%s', (name, client) => {
  const token = () => at.issuer.token({ sub: 'service', aud: 'kafka' })
  const credentials = [
    ['PLAIN', user('alice', 'alice-secret')],
    ['SCRAM-SHA-256', user('alice', 'alice-secret')],
    ['SCRAM-SHA-512', user('alice', 'alice-secret')],
    ['OAUTHBEARER', tokens(token)],
  ] as const

  it.each(credentials)(
    '%s: there and back, and the handler knows who produced',
    async (mechanism, source) => {
      const kafka = await client({ brokers: at.brokers, tls: at.tls, sasl: { mechanism, source } })
      const topic = `${prefix}${name.replace(/\W/g, '')}-${mechanism}`
      await at.topics([topic, `${topic}-dead`])
      await using sending = await producer({ client: kafka, identity: signer(at.origin) })
      await sending.send({ topic, key: 'k1', value: 'one', headers: { tenant: 'acme' } })
      const { guard } = guarded()
      const got: [string, string, KafkaMessage][] = []
      await using receiving = await consumer(
        { client: kafka, group: topic, topics: [topic], guard, deadLetter: `${topic}-dead` },
        (message, principal) => void got.push([String(message.value), principal.subject, message]),
      )
      await expect.poll(() => got.length, { timeout: 15_000 }).toBe(1)
      await receiving.close()
      expect(got).toMatchObject([['one', 'urn:shop', { topic, key: Buffer.from('k1') }]])
      kafka.close()
    },
    30_000,
  )
})
