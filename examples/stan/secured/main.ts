import { generateKeyPairSync } from 'node:crypto'
import { EventEmitter, once } from 'node:events'
import { jetstreamManager } from '@nats-io/jetstream'
import { basicCredentials } from '@portcullis/auth'
import { messageSigner, signedMessages } from '@portcullis/message'
import * as nats from '@portcullis/nats'
import { client, consumer, guard, producer, scope, unframe, type ClientOptions } from '@portcullis/stan'
import { createPki, startNats, startStan } from '@portcullis/test-servers'
import { StartPosition, type Message } from 'node-nats-streaming'
import { show } from '../../show.ts'

const account = 'username: alice\npassword: "alice@123"'
const users = 'authorization { users = [ { user: alice, password: "alice@123" } ] }'
await using server = await startStan({ clientCertificate: 'verify', config: users, streaming: account })
const origin = `tls://localhost:${server.port}`
const trust = { pemFile: server.pki.ca.certificateFile }
const own = server.pki.issue({ name: 'alice' })
const identity = { key: { pemFile: own.keyFile }, certificates: { pemFile: own.certificateFile } }
const as = (password: string): ClientOptions => ({
  servers: origin,
  clusterId: server.clusterId,
  tls: { side: 'client', trust, identity },
  credentials: basicCredentials({ username: 'alice', password, targets: [origin] }),
  timeoutMs: 2_000,
})

/** Connects, and tells what came of it. */
async function connected(options: ClientOptions): Promise<string> {
  const stan = await client(options)
  try {
    await (await stan.open('alice')).close()
    return 'connected'
  } catch (error) {
    return (error as { code: string }).code
  } finally {
    stan.close()
  }
}
show('a password, over mutual TLS', await connected(as('alice@123')), 'connected')
show('a wrong password', await connected(as('guess')), 'ERR_STAN_CREDENTIAL_REFUSED')
show('no client certificate', await connected({ ...as('alice@123'), tls: { side: 'client', trust } }), 'ERR_STAN_CERTIFICATE_REFUSED')
const strangers = { pemFile: createPki().ca.certificateFile }
show(
  'a server of an authority that is not trusted',
  await connected({ ...as('alice@123'), tls: { side: 'client', trust: strangers, identity } }),
  'ERR_STAN_SERVER_UNTRUSTED',
)
show('a server of another name', await connected({ ...as('alice@123'), serverName: 'stan.example' }), 'ERR_STAN_HOST_NAME')

// Who may write to a channel is known to the server alone. Who produced a message is what its signature proves.
const stan = await client(as('alice@123'))
const shop = generateKeyPairSync('ec', { namedCurve: 'P-256' })
const stranger = generateKeyPairSync('ec', { namedCurve: 'P-256' })
const signedBy = ({ privateKey }: typeof shop, target = origin) =>
  messageSigner({ issuer: 'urn:shop', key: { privateKey }, audience: 'urn:warehouse', targets: [target] })
const warehouse = guard({
  authenticate: signedMessages({
    audience: 'urn:warehouse',
    signers: [{ issuer: 'urn:shop', keys: { publicKey: shop.publicKey }, scopes: ['orders:publish'] }],
    maxAgeMs: 60_000,
  }),
  authorize: scope('orders:publish'),
})

await using shopping = await producer({ client: stan, identity: signedBy(shop) })
await shopping.send({ channel: 'orders', content: 'a lamp' })
await using forging = await producer({ client: stan, identity: signedBy(stranger) })
await forging.send({ channel: 'orders', content: 'a forged lamp' })
// A client of the old library writes into the same channel, and knows of no signatures.
const old = await stan.open('old')
await old.publish('orders', Buffer.from('a lamp of nobody'))

const heard = new EventEmitter()
const orders = await consumer(
  { client: stan, clientId: 'warehouse-1', channel: 'orders', durable: 'warehouse', guard: warehouse, deadLetter: 'dead.orders' },
  (message, principal) => void heard.emit('order', `${principal.subject}: ${message.content.toString()}`),
)
show('what the handler got', (await once(heard, 'order'))[0], 'urn:shop: a lamp')

// Whoever looks after the dead letters reads them as they are: a frame that says why, around the bytes as they came.
const letters: string[] = []
const all = Promise.withResolvers<void>()
await old.subscribe('dead.orders', undefined, old.stan.subscriptionOptions().setStartAt(StartPosition.FIRST), (subscription) =>
  subscription.on('message', (message: Message) => {
    const letter = unframe(message.getRawData())
    if (letter.kind !== 'framed') return
    const original = unframe(letter.content)
    const content = original.kind === 'framed' ? original.content : letter.content
    letters.push(`${content.toString()}: ${new Map(letter.headers).get('portcullis-dead-letter-reason')}`)
    if (letters.length === 2) all.resolve()
  }),
)
await all.promise
show(
  'what nobody could prove',
  letters.toSorted((a, b) => a.localeCompare(b)),
  ['a forged lamp: identity-refused', 'a lamp of nobody: no-identity'],
)
await Promise.all([orders.close(), old.close()])

// The move to JetStream: another client, the same guard, the same signer for another target.
await using successor = await startNats({ jetstream: true, config: users })
const target = `tls://localhost:${successor.port}`
const next = await nats.client({
  servers: target,
  tls: { side: 'client', trust: { pemFile: successor.pki.ca.certificateFile } },
  credentials: basicCredentials({ username: 'alice', password: 'alice@123', targets: [target] }),
})
const connection = await next.open()
const manager = await jetstreamManager(connection)
await manager.streams.add({ name: 'ORDERS', subjects: ['orders'] })
await manager.consumers.add('ORDERS', { durable_name: 'warehouse', ack_policy: 'explicit' })
await using moved = await nats.producer({ client: next, identity: signedBy(shop, target) })
await moved.send({ subject: 'orders', content: 'a lamp, later' })
const reading = await nats.consumer(
  { client: next, stream: 'ORDERS', consumer: 'warehouse', guard: warehouse, deadLetter: 'dead.orders' },
  (message, principal) => void heard.emit('order', `${principal.subject}: ${message.content.toString()}`),
)
show('the same guard, of a stream', (await once(heard, 'order'))[0], 'urn:shop: a lamp, later')
await Promise.all([reading.close(), connection.close()])
next.close()
stan.close()
