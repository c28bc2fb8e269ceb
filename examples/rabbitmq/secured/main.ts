import { generateKeyPairSync } from 'node:crypto'
import { EventEmitter, once } from 'node:events'
import { basicCredentials } from '@portcullis/auth'
import { messageSigner, signedMessages } from '@portcullis/message'
import { client, consumer, everyone, guard, producer, scope, type ClientOptions } from '@portcullis/rabbitmq'
import { dropRefused, withoutIdentity } from '@portcullis/rabbitmq/danger'
import { createPki, startRabbitmq } from '@portcullis/test-servers'
import { show } from '../../show.ts'

await using broker = await startRabbitmq()
const origin = `amqps://localhost:${broker.port}`
const trust = { pemFile: broker.pki.ca.certificateFile }
const as = (password: string): ClientOptions => ({
  url: origin,
  tls: { side: 'client', trust },
  credentials: basicCredentials({ username: 'app', password, targets: [origin] }),
})

/** Connects, and tells what came of it. */
async function connected(options: ClientOptions): Promise<string> {
  const rabbitmq = await client(options)
  try {
    await (await rabbitmq.open()).close()
    return 'connected'
  } catch (error) {
    return (error as { code: string }).code
  } finally {
    rabbitmq.close()
  }
}
const { keyFile, certificateFile } = broker.pki.issue({ name: 'alice' })
const identity = { key: { pemFile: keyFile }, certificates: { pemFile: certificateFile } }
show('a password, over TLS', await connected(as('app-secret')), 'connected')
show(
  'a client certificate (EXTERNAL)',
  await connected({ url: origin, tls: { side: 'client', trust, identity }, credentials: 'certificate' }),
  'connected',
)
show('a wrong password', await connected(as('guess')), 'ERR_RABBITMQ_CREDENTIAL_REFUSED')
show('a virtual host that is not there', await connected({ ...as('app-secret'), virtualHost: 'other' }), 'ERR_RABBITMQ_VIRTUAL_HOST')
const strangers = { pemFile: createPki().ca.certificateFile }
show(
  'a broker of an authority that is not trusted',
  await connected({ ...as('app-secret'), tls: { side: 'client', trust: strangers } }),
  'ERR_RABBITMQ_BROKER_UNTRUSTED',
)

// Queues are their owner's to make.
const rabbitmq = await client(as('app-secret'))
const model = await rabbitmq.open()
const channel = await model.createChannel()
for (const queue of ['orders', 'orders.dead']) await channel.assertQueue(queue)
await model.close()

// Who may write to a queue is known to the broker alone. Who produced a message is what its signature proves.
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
for (const [by, content] of [
  [signedBy(shop), 'a lamp'],
  [signedBy(stranger), 'a forged lamp'],
  [withoutIdentity, 'a lamp of nobody'],
] as const) {
  await using sending = await producer({ client: rabbitmq, identity: by })
  await sending.send({ routingKey: 'orders', content })
}
const heard = new EventEmitter()
const orders = await consumer(
  { client: rabbitmq, queue: 'orders', guard: warehouse, deadLetter: 'orders.dead' },
  (message, principal) => void heard.emit('order', `${principal.subject}: ${message.content.toString()}`),
)
show('what the handler got', (await once(heard, 'order'))[0], 'urn:shop: a lamp')

// Whoever looks after the dead letters reads them as they are.
const letters: string[] = []
const care = await consumer(
  { client: rabbitmq, queue: 'orders.dead', guard: guard({ authenticate: everyone() }), deadLetter: dropRefused },
  ({ content, headers }) => {
    if (letters.push(`${content.toString()}: ${headers.get('portcullis-dead-letter-reason')}`) === 2) heard.emit('letters')
  },
)
if (letters.length < 2) await once(heard, 'letters')
show(
  'what nobody could prove',
  letters.toSorted((a, b) => a.localeCompare(b)),
  ['a forged lamp: identity-refused', 'a lamp of nobody: no-identity'],
)
await Promise.all([orders.close(), care.close()])
rabbitmq.close()
