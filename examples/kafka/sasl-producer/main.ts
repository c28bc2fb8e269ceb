import { generateKeyPairSync } from 'node:crypto'
import { basicCredentials } from '@portcullis/auth'
import { producer, type SaslMechanism } from '@portcullis/kafka'
import { client } from '@portcullis/kafka/platformatic'
import { messageSigner } from '@portcullis/message'
import { createPki, startKafka } from '@portcullis/test-servers'
import { show } from '../../show.ts'
import { createTopics } from '../topics.ts'

await using broker = await startKafka({
  users: { alice: 'alice@123' },
  acls: [{ principal: 'alice', resource: 'topic', name: 'orders', operation: 'write' }],
})
await createTopics(broker, 'orders', 'payroll')
const origin = `kafka://${broker.saslBootstrap}`
const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
const identity = messageSigner({
  issuer: 'urn:shop',
  key: { privateKey },
  audience: 'urn:warehouse',
  targets: [origin, `kafka://${broker.mtlsBootstrap}`],
})
const trust = { pemFile: broker.pki.ca.certificateFile }

/** Sends one message, and tells what came of it. */
async function sent(
  options: Omit<Parameters<typeof client>[0], 'brokers'>,
  topic = 'orders',
  brokers = broker.saslBootstrap,
): Promise<string> {
  const kafka = await client({ brokers: [brokers], ...options })
  try {
    await using orders = await producer({ client: kafka, identity, maxAttempts: 1 })
    await orders.send({ topic, key: 'alice', value: JSON.stringify({ item: 'lamp' }) })
    return 'sent'
  } catch (error) {
    return (error as { code: string }).code
  } finally {
    kafka.close()
  }
}
const as = (password: string, mechanism: SaslMechanism = 'PLAIN') => ({
  tls: { side: 'client', trust } as const,
  sasl: { mechanism, source: basicCredentials({ username: 'alice', password, targets: [origin] }) },
})
const { keyFile, certificateFile } = broker.pki.issue({ name: 'alice' })

show('a password by PLAIN, over TLS', await sent(as('alice@123')), 'sent')
show('the same by SCRAM, which does not send it', await sent(as('alice@123', 'SCRAM-SHA-512')), 'sent')
show(
  'a client certificate (mutual TLS)',
  await sent(
    { tls: { side: 'client', trust, identity: { key: { pemFile: keyFile }, certificates: { pemFile: certificateFile } } } },
    'orders',
    broker.mtlsBootstrap,
  ),
  'sent',
)
show('a wrong password', await sent(as('guess')), 'ERR_KAFKA_CREDENTIAL_REFUSED')
show('a topic that alice may not write', await sent(as('alice@123'), 'payroll'), 'ERR_KAFKA_FORBIDDEN')
const strangers = { pemFile: createPki().ca.certificateFile }
show(
  'a broker of an authority that is not trusted',
  await sent({ ...as('alice@123'), tls: { side: 'client', trust: strangers } }),
  'ERR_KAFKA_BROKER_UNTRUSTED',
)
show(
  'no client certificate where one is demanded',
  await sent({ tls: { side: 'client', trust } }, 'orders', broker.mtlsBootstrap),
  'ERR_KAFKA_CERTIFICATE_REFUSED',
)
