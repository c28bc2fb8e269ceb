import { generateKeyPairSync } from 'node:crypto'
import { EventEmitter, once } from 'node:events'
import { jetstream, jetstreamManager } from '@nats-io/jetstream'
import { basicCredentials } from '@portcullis/auth'
import { messageSigner, signedMessages } from '@portcullis/message'
import { client, consumer, guard, producer, publisher, scope, subscriber, type ClientOptions } from '@portcullis/nats'
import { withoutIdentity } from '@portcullis/nats/danger'
import { createPki, startNats } from '@portcullis/test-servers'
import { show } from '../../show.ts'

await using server = await startNats({
  jetstream: true,
  clientCertificate: 'verify',
  config: 'authorization { users = [ { user: alice, password: "alice@123" } ] }',
})
const origin = `tls://localhost:${server.port}`
const trust = { pemFile: server.pki.ca.certificateFile }
const own = server.pki.issue({ name: 'alice' })
const identity = { key: { pemFile: own.keyFile }, certificates: { pemFile: own.certificateFile } }
const as = (password: string): ClientOptions => ({
  servers: origin,
  tls: { side: 'client', trust, identity },
  credentials: basicCredentials({ username: 'alice', password, targets: [origin] }),
  timeoutMs: 2_000,
})

/** Connects, and tells what came of it. */
async function connected(options: ClientOptions): Promise<string> {
  const nats = await client(options)
  try {
    await (await nats.open()).close()
    return 'connected'
  } catch (error) {
    return (error as { code: string }).code
  } finally {
    nats.close()
  }
}
show('a password, over mutual TLS', await connected(as('alice@123')), 'connected')
show('a wrong password', await connected(as('guess')), 'ERR_NATS_CREDENTIAL_REFUSED')
show('no client certificate', await connected({ ...as('alice@123'), tls: { side: 'client', trust } }), 'ERR_NATS_CERTIFICATE_REFUSED')
const strangers = { pemFile: createPki().ca.certificateFile }
show(
  'a server of an authority that is not trusted',
  await connected({ ...as('alice@123'), tls: { side: 'client', trust: strangers, identity } }),
  'ERR_NATS_SERVER_UNTRUSTED',
)
show('a server of another name', await connected({ ...as('alice@123'), serverName: 'nats.example' }), 'ERR_NATS_HOST_NAME')

// Who may write to a subject is known to the server alone. Who produced a message is what its signature proves.
const nats = await client(as('alice@123'))
const connection = await nats.open()
const manager = await jetstreamManager(connection)
await manager.streams.add({ name: 'ORDERS', subjects: ['orders.>'] })
await manager.streams.add({ name: 'DEAD', subjects: ['dead.>'] })
await manager.consumers.add('ORDERS', { durable_name: 'warehouse', ack_policy: 'explicit' })
await manager.consumers.add('DEAD', { durable_name: 'care', ack_policy: 'explicit' })

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
  await using sending = await producer({ client: nats, identity: by })
  await sending.send({ subject: 'orders.created', content })
}
const heard = new EventEmitter()
const orders = await consumer(
  { client: nats, stream: 'ORDERS', consumer: 'warehouse', guard: warehouse, deadLetter: 'dead.orders' },
  (message, principal) => void heard.emit('order', `${principal.subject}: ${message.content.toString()}`),
)
show('what the handler got', (await once(heard, 'order'))[0], 'urn:shop: a lamp')

// Whoever looks after the dead letters reads them as they are.
const letters: string[] = []
for await (const letter of await (await jetstream(connection).consumers.get('DEAD', 'care')).consume()) {
  letters.push(`${letter.string()}: ${letter.headers?.get('portcullis-dead-letter-reason')}`)
  letter.ack()
  if (letters.length === 2) break
}
show(
  'what nobody could prove',
  letters.toSorted((a, b) => a.localeCompare(b)),
  ['a forged lamp: identity-refused', 'a lamp of nobody: no-identity'],
)

const counting = await subscriber(
  { client: nats, subject: 'stock.count', guard: warehouse, deadLetter: 'dead.stock', identity: signedBy(shop) },
  (message) => ({ content: `7 of ${message.content.toString()}` }),
)
await using asking = await publisher({ client: nats, identity: signedBy(shop), replies: warehouse })
const { message, principal } = await asking.request({ subject: 'stock.count', content: 'lamps' })
show('an answer, and who gave it', `${message.content.toString()}, says ${principal?.subject}`, '7 of lamps, says urn:shop')
await using guessing = await publisher({ client: nats, identity: signedBy(stranger), replies: warehouse })
show(
  'a request of a stranger',
  await guessing.request({ subject: 'stock.count', content: 'lamps' }).catch((error: { code: string }) => error.code),
  'ERR_NATS_REQUEST_REFUSED',
)
await Promise.all([orders.close(), counting.close(), connection.close()])
nats.close()
