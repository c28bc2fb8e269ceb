import path from 'node:path'
import { pathOf, runForeign, type Ran } from '@portcullis/test-servers'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { consumer, producer } from './index.ts'
import { broker, guarded, libraries, signer, tokens, user, type TestBroker } from './kafka.test-support.ts'

// Written by others, on other implementations of the protocol: what we send they read, and what they send is judged.
describe.each([4, 3] as const)('beside foreign clients, on Kafka %i', (version) => {
  let at: TestBroker
  let prefix: string
  beforeAll(async () => {
    // Only the one of 4 takes tokens, so that the other has a mechanism to miss.
    at = await broker({ version, tokens: version === 4 })
    prefix = await at.kafka.namespace('alice')
  }, 120_000)
  afterAll(() => at.close(), 30_000)

  function kcat(args: readonly string[], input?: string): Promise<Ran> {
    const settings = {
      'ssl.ca.location': at.kafka.pki.ca.certificateFile,
      'broker.address.family': 'v4',
      'message.timeout.ms': '4000',
      'security.protocol': 'SASL_SSL',
      'sasl.mechanism': 'PLAIN',
      'sasl.username': 'alice',
      'sasl.password': 'alice-secret',
    }
    const flags = Object.entries(settings).flatMap(([key, value]) => ['-X', `${key}=${value}`])
    return runForeign('kcat', 'kcat', ['-b', at.kafka.saslBootstrap, ...flags, ...args], { ...(input !== undefined && { input }) })
  }
  function python(topic: string, text: string): Promise<Ran> {
    const options = {
      modules: pathOf('kafka-python', 'modules'),
      topic,
      text,
      bootstrap_servers: at.kafka.saslBootstrap,
      security_protocol: 'SASL_SSL',
      ssl_cafile: at.kafka.pki.ca.certificateFile,
      sasl_mechanism: 'SCRAM-SHA-256',
      sasl_plain_username: 'alice',
      sasl_plain_password: 'alice-secret',
    }
    const script = path.resolve(import.meta.dirname, '../../../../test/servers/clients/kafka_roundtrip.py')
    return runForeign('kafka-python', 'python', [script, JSON.stringify(options)], { withinMs: 30_000 })
  }

  it.each(libraries)(
    '%s: they read our messages, and theirs without identity become dead letters',
    async (name, client) => {
      const topic = `${prefix}${name.replace(/\W/g, '')}`
      await at.topics([topic, `${topic}-dead`])
      const kafka = await client({
        brokers: at.brokers,
        tls: at.tls,
        sasl: { mechanism: 'SCRAM-SHA-512', source: user('alice', 'alice-secret') },
      })
      await using sending = await producer({ client: kafka, identity: signer(at.origin) })
      await sending.send({ topic, key: 'k1', value: 'from us', headers: { tenant: 'acme' } })
      const format = ['-f', '%k|%s|%h']
      const read = await kcat(['-C', '-e', '-q', '-o', 'beginning', '-t', topic, ...format])
      expect(read.output).toMatch(/^k1\|from us\|tenant=acme,portcullis-identity=[\w.-]+$/)

      expect((await kcat(['-P', '-t', topic], 'from kcat')).said).toBe('')
      expect((await kcat(['-P', '-t', topic, '-H', 'portcullis-identity=e30.e30.e30'], 'forged by kcat')).said).toBe('')
      expect((await python(topic, 'from python')).said).not.toContain('Error')
      const { guard, events } = guarded()
      const got: string[] = []
      await using receiving = await consumer(
        { client: kafka, group: topic, topics: [topic], guard, deadLetter: `${topic}-dead` },
        ({ value }) => void got.push(String(value)),
      )
      const letters = () => events.filter(({ type }) => type === 'messageRefused').length
      await expect.poll(letters, { timeout: 15_000 }).toBe(3)
      await receiving.close()
      expect(got).toEqual(['from us'])
      const dead = await kcat(['-C', '-e', '-q', '-o', 'beginning', '-t', `${topic}-dead`, '-f', '%s|%h\n'])
      expect(dead.output).toMatch(/^from kcat\|portcullis-dead-letter-reason=no-identity,/m)
      expect(dead.output).toMatch(/^forged by kcat\|portcullis-identity=e30\.e30\.e30,portcullis-dead-letter-reason=identity-refused,/m)
      expect(dead.output).toMatch(/^from python\|portcullis-dead-letter-reason=no-identity,/m)
      kafka.close()
    },
    90_000,
  )

  if (version === 3)
    it.each(libraries)('%s: a mechanism that the broker does not offer is told as that', async (_, client) => {
      const source = tokens(() => 'any')
      const kafka = await client({ brokers: at.brokers, tls: at.tls, sasl: { mechanism: 'OAUTHBEARER', source } })
      await expect(producer({ client: kafka, identity: signer(at.origin) })).rejects.toMatchObject({
        family: 'configuration',
        code: 'ERR_KAFKA_MECHANISM',
      })
      kafka.close()
    })
})
