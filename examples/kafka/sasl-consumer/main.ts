import { generateKeyPairSync } from 'node:crypto'
import { EventEmitter, once } from 'node:events'
import { basicCredentials } from '@portcullis/auth'
import { consumer, everyone, guard, producer, scope } from '@portcullis/kafka'
import { dropRefused, withoutIdentity } from '@portcullis/kafka/danger'
import { client } from '@portcullis/kafka/platformatic'
import { messageSigner, signedMessages } from '@portcullis/message'
import { startKafka } from '@portcullis/test-servers'
import { show } from '../../show.ts'
import { createTopics } from '../topics.ts'

await using broker = await startKafka({
  users: { alice: 'alice@123' },
  acls: [
    { principal: 'alice', resource: 'topic', prefix: 'orders' },
    { principal: 'alice', resource: 'group', prefix: 'orders' },
  ],
})
await createTopics(broker, 'orders', 'orders-dead')
const origin = `kafka://${broker.saslBootstrap}`
const kafka = await client({
  brokers: [broker.saslBootstrap],
  tls: { side: 'client', trust: { pemFile: broker.pki.ca.certificateFile } },
  sasl: { mechanism: 'SCRAM-SHA-512', source: basicCredentials({ username: 'alice', password: 'alice@123', targets: [origin] }) },
})

// Whoever may write to the topic is known to the broker alone. Who produced a message is what its signature proves.
const shop = generateKeyPairSync('ec', { namedCurve: 'P-256' })
const stranger = generateKeyPairSync('ec', { namedCurve: 'P-256' })
const signedBy = ({ privateKey }: typeof shop) =>
  messageSigner({ issuer: 'urn:shop', key: { privateKey }, audience: 'urn:warehouse', targets: [origin] })
const warehouse = guard({
  authenticate: signedMessages({
    audience: 'urn:warehouse',
    signers: [{ issuer: 'urn:shop', keys: { publicKey: shop.publicKey }, scopes: ['orders:publish'] }],
    maxAgeMs: 60_000,
  }),
  authorize: scope('orders:publish'),
})

for (const [identity, value] of [
  [signedBy(shop), 'a lamp'],
  [signedBy(stranger), 'a forged lamp'],
  [withoutIdentity, 'a lamp of nobody'],
] as const) {
  await using sending = await producer({ client: kafka, identity })
  await sending.send({ topic: 'orders', value })
}

const heard = new EventEmitter()
await using orders = await consumer(
  { client: kafka, group: 'orders-warehouse', topics: ['orders'], guard: warehouse, deadLetter: 'orders-dead' },
  (message, principal) => void heard.emit('order', `${principal.subject}: ${String(message.value)}`),
)
show('what the handler got', (await once(heard, 'order'))[0], 'urn:shop: a lamp')

// Whoever looks after the dead letters reads them as they are.
const letters: string[] = []
await using care = await consumer(
  { client: kafka, group: 'orders-care', topics: ['orders-dead'], guard: guard({ authenticate: everyone() }), deadLetter: dropRefused },
  ({ value, headers }) => {
    const reason = headers.find(([name]) => name === 'portcullis-dead-letter-reason')?.[1]
    if (letters.push(`${String(value)}: ${String(reason)}`) === 2) heard.emit('letters')
  },
)
if (letters.length < 2) await once(heard, 'letters')
show('what nobody could prove', letters, ['a forged lamp: identity-refused', 'a lamp of nobody: no-identity'])
await Promise.all([orders.close(), care.close()])
kafka.close()
