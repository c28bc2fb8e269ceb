import { copyFileSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { Admin as PlatformaticAdmin } from '@platformatic/kafka'
import { createPki } from '@portcullis/test-servers'
import { tlsBundle, type ClientTlsBundle } from '@portcullis/tls'
import { Kafka, logLevel } from 'kafkajs'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { diagnose } from './diagnose.ts'
import * as kafkajs from './kafkajs/index.ts'
import { broker, tokens, user, type TestBroker } from './kafka.test-support.ts'
import * as platformatic from './platformatic/index.ts'

// For whoever has a client of the library already: only `sasl` and `ssl`, in the library's own options.
let at: TestBroker
const directory = mkdtempSync(path.join(tmpdir(), 'kafka-pieces-'))
const trustFile = path.join(directory, 'trust.pem')
const own = () => copyFileSync(at.kafka.pki.ca.certificateFile, trustFile)
const foreign = createPki()
const other = () => copyFileSync(foreign.ca.certificateFile, trustFile)
beforeAll(async () => {
  at = await broker()
  await at.topics(['seen'])
}, 120_000)
afterAll(async () => {
  await at.close()
  rmSync(directory, { recursive: true })
}, 30_000)
const bundleOf = (): Promise<ClientTlsBundle> => tlsBundle({ side: 'client', trust: { pemFile: trustFile }, checkFilesEveryMs: 'off' })

interface Opened {
  topics(): Promise<readonly string[]>
  close(): Promise<void>
}
type Presenting = Omit<platformatic.SaslOptions, 'origin'>

const openers: readonly [string, (bundle: ClientTlsBundle, presenting: Presenting) => Opened][] = [
  [
    '@platformatic/kafka',
    (bundle, presenting) => {
      const admin = new PlatformaticAdmin({
        clientId: 'mine',
        bootstrapBrokers: [...at.brokers],
        retries: 0,
        ...platformatic.ssl(bundle),
        ...platformatic.sasl({ ...presenting, origin: at.origin }),
      })
      platformatic.cutUntrusted(admin, bundle)
      return { topics: () => admin.listTopics(), close: () => admin.close() }
    },
  ],
  [
    'kafkajs',
    (bundle, presenting) => {
      const secured = kafkajs.ssl(bundle)
      const kafka = new Kafka({
        brokers: [...at.brokers],
        logLevel: logLevel.NOTHING,
        retry: { retries: 0 },
        ...secured,
        sasl: kafkajs.sasl({ ...presenting, origin: at.origin, over: secured }),
        ...kafkajs.sessionOptions(60_000).kafka,
      })
      const admin = kafka.admin()
      return {
        async topics() {
          await admin.connect()
          return admin.listTopics()
        },
        close: () => admin.disconnect(),
      }
    },
  ],
]

describe.each(openers)('%s', (_, open) => {
  const alice: Presenting = { mechanism: 'PLAIN', source: user('admin', 'admin-secret') }

  it('takes what sasl and ssl make', async () => {
    own()
    const bundle = await bundleOf()
    const opened = open(bundle, alice)
    expect(await opened.topics()).toContain('seen')
    await opened.close()
    bundle.close()
  })

  it('sends extensions along with a token (KIP-342)', async () => {
    own()
    const bundle = await bundleOf()
    const source = tokens(() => at.issuer.token({ sub: 'admin', aud: 'kafka' }))
    const opened = open(bundle, { mechanism: 'OAUTHBEARER', source, extensions: { logicalCluster: 'lkc-1' } })
    expect(await opened.topics()).toContain('seen')
    await opened.close()
    bundle.close()
  })

  it('uses the trust anchors of the moment, and cuts connections that these no longer cover', async () => {
    other()
    const bundle = await bundleOf()
    const opened = open(bundle, alice)
    const seen = () => opened.topics().catch((error: unknown) => diagnose(error).code)
    expect(await seen()).toBe('ERR_KAFKA_BROKER_UNTRUSTED')
    own()
    await bundle.reload()
    expect(await seen()).toContain('seen')
    other()
    await bundle.reload()
    await expect.poll(seen, { timeout: 10_000 }).toBe('ERR_KAFKA_BROKER_UNTRUSTED')
    own()
    await bundle.reload()
    await expect.poll(seen, { timeout: 10_000 }).toContain('seen')
    await opened.close()
    bundle.close()
  }, 40_000)
})

describe('no credential leaves without TLS', () => {
  it('by kafkajs, where the connections are not those of ssl()', async () => {
    own()
    const bundle = await bundleOf()
    let asked = 0
    const source = (request: Parameters<ReturnType<typeof user>>[0]) => {
      asked++
      return user('admin', 'admin-secret')(request)
    }
    const sasl = kafkajs.sasl({ mechanism: 'PLAIN', source, origin: at.origin, over: kafkajs.ssl(bundle) })
    // TLS, but by other means: nobody can tell how these connections came about.
    const ssl = { ca: at.kafka.pki.ca.certificate }
    const admin = new Kafka({ brokers: [...at.brokers], logLevel: logLevel.NOTHING, retry: { retries: 0 }, ssl, sasl }).admin()
    await expect(admin.connect().catch((error: unknown) => Promise.reject(diagnose(error)))).rejects.toMatchObject({
      code: 'ERR_KAFKA_INSECURE',
    })
    expect(asked).toBe(0)
    await admin.disconnect()
    bundle.close()
    expect(() => kafkajs.sasl({ mechanism: 'PLAIN', source, origin: at.origin } as never)).toThrow(
      expect.objectContaining({ code: 'ERR_OPTION_MISSING' }),
    )
    expect(() => kafkajs.sessionOptions(0)).toThrow(expect.objectContaining({ code: 'ERR_OPTION_INVALID' }))
  })
})

it('no credential goes by @platformatic/kafka to a broker that was not verified, or without TLS', async () => {
  let asked = 0
  const source = (request: Parameters<ReturnType<typeof user>>[0]) => {
    asked++
    return user('admin', 'admin-secret')(request)
  }
  for (const tls of [{ rejectUnauthorized: false }, undefined]) {
    const admin = new PlatformaticAdmin({
      clientId: 'mine',
      bootstrapBrokers: [...at.brokers],
      retries: 0,
      ...(tls && { tls }),
      ...platformatic.sasl({ mechanism: 'PLAIN', source, origin: at.origin }),
    })
    const seen = await admin.listTopics().catch((error: unknown) => diagnose(error).family)
    // Without TLS the broker closes before there is anything to authenticate to.
    expect(seen).toBe(tls ? 'configuration' : 'unavailable')
    await admin.close().catch(() => undefined)
  }
  expect(asked).toBe(0)
})

it('renews kafkajs sessions at 85 to 89 % of their life, with no fetch that outlasts the rest', () => {
  for (const random of [0, 0.5, 0.999]) {
    const { kafka, consumer } = kafkajs.sessionOptions(10_000, () => random)
    expect(kafka.reauthenticationThreshold).toBeGreaterThan(1_000)
    expect(kafka.reauthenticationThreshold).toBeLessThanOrEqual(1_500)
    expect(consumer.maxWaitTimeInMs).toBeLessThan(kafka.reauthenticationThreshold)
  }
  expect(kafkajs.sessionOptions(2_000).consumer.maxWaitTimeInMs).toBe(200)
})
