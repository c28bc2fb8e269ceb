import { setTimeout as wait } from 'node:timers/promises'
import { channel } from 'node:diagnostics_channel'
import { secret, type CredentialSource } from '@portcullis/core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { consumer, producer } from './index.ts'
import { broker, guarded, libraries, signer, type TestBroker } from './kafka.test-support.ts'

const sessionMs = 2_000
let at: TestBroker
let prefix: string
beforeAll(async () => {
  at = await broker({ maxReauthMs: sessionMs })
  prefix = await at.kafka.namespace('alice', 'service')
}, 120_000)
afterAll(() => at.close(), 30_000)

// What Node says of every connection that is made, whatever the library does with it.
let connections = 0
const connected = (): void => void connections++
beforeAll(() => channel('net.client.socket').subscribe(connected))
afterAll(() => channel('net.client.socket').unsubscribe(connected))

describe.each(libraries)('by %s, with sessions of two seconds', (name, client) => {
  it.each(['SCRAM-SHA-512', 'OAUTHBEARER'] as const)(
    '%s: producer and consumer live through many re-authentications on the connections that they have',
    async (mechanism) => {
      const topic = `${prefix}${name.replace(/\W/g, '')}-${mechanism}`
      await at.topics([topic, `${topic}-dead`], 2)
      let asked = 0
      const source: CredentialSource = () => {
        asked++
        return {
          credential:
            mechanism === 'OAUTHBEARER'
              ? { kind: 'bearer', carrier: 'sasl', token: secret(at.issuer.token({ sub: 'service', aud: 'kafka' })) }
              : { kind: 'basic', carrier: 'sasl', username: 'alice', password: secret('alice-secret') },
        }
      }
      const kafka = await client({ brokers: at.brokers, tls: at.tls, sasl: { mechanism, source }, sessionMs })
      const { guard, events } = guarded()
      const got: string[] = []
      await using sending = await producer({ client: kafka, identity: signer(at.origin), maxAttempts: 1 })
      await using receiving = await consumer(
        { client: kafka, group: topic, topics: [topic], guard, deadLetter: `${topic}-dead` },
        ({ value }) => void got.push(String(value)),
      )
      await sending.send({ topic, value: 'first' })
      await expect.poll(() => got.length, { timeout: 15_000 }).toBe(1)
      await sending.send({ topic, value: 'second' })
      const [askedBefore, connectionsBefore] = [asked, connections]

      const sent = ['first', 'second']
      const until = Date.now() + 5 * sessionMs
      let count = 0
      // Always some requests on the way, so that each renewal comes between some.
      const worker = async (): Promise<void> => {
        while (Date.now() < until) {
          const value = `m${count++}`
          await sending.send({ topic, key: value, value })
          sent.push(value)
          await wait(3)
        }
      }
      await Promise.all(Array.from({ length: 8 }, worker))
      await expect.poll(() => got.length, { timeout: 15_000 }).toBeGreaterThanOrEqual(sent.length)
      const made = connections - connectionsBefore
      await receiving.close()
      kafka.close()
      expect(got.toSorted()).toEqual(sent.toSorted())
      expect(events.filter(({ type }) => type === 'warning')).toEqual([])
      expect(asked - askedBefore).toBeGreaterThanOrEqual(8)
      // None, but for a machine so busy that it misses the moment; without re-authentication every renewal is a connection.
      expect(made).toBeLessThan((asked - askedBefore) / 4)
    },
    60_000,
  )

  it('a silent consumer is there after many sessions', async () => {
    const topic = `${prefix}${name.replace(/\W/g, '')}-silent`
    await at.topics([topic, `${topic}-dead`])
    const source: CredentialSource = () => ({
      credential: { kind: 'basic', carrier: 'sasl', username: 'alice', password: secret('alice-secret') },
    })
    const kafka = await client({ brokers: at.brokers, tls: at.tls, sasl: { mechanism: 'PLAIN', source }, sessionMs })
    const { guard, events } = guarded()
    const got: string[] = []
    await using receiving = await consumer(
      { client: kafka, group: topic, topics: [topic], guard, deadLetter: `${topic}-dead` },
      ({ value }) => void got.push(String(value)),
    )
    await using sending = await producer({ client: kafka, identity: signer(at.origin) })
    await wait(4 * sessionMs)
    await sending.send({ topic, value: 'late' })
    await expect.poll(() => got, { timeout: 15_000 }).toEqual(['late'])
    await receiving.close()
    expect(events.filter(({ type }) => type === 'warning')).toEqual([])
    kafka.close()
  }, 60_000)
})
