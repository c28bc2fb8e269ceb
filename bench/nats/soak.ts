import { pathToFileURL } from 'node:url'
import { parseArgs } from 'node:util'
import { jetstream } from '@nats-io/jetstream'
import { consumer, guard, producer, scope } from '@portcullis/nats'
import { withoutIdentity } from '@portcullis/nats/danger'
import { soakTable, type SoakScene } from '../broker-soak.ts'
import { printTable, type RunOptions, type Table } from '../table.ts'
import { natsScene } from './scene.ts'

async function open(): Promise<SoakScene> {
  const scene = await natsScene({ renewing: true })
  await scene.stream('orders')
  await scene.stream('dead')
  const sending = await producer({ client: scene.nats, identity: scene.identity, maxAttempts: 30 })
  const anonymous = await producer({ client: scene.nats, identity: withoutIdentity, maxAttempts: 30 })
  const opened: { close(): Promise<unknown> }[] = [sending, anonymous]
  return {
    credentials: scene.credentials,
    rotateCredential: scene.rotateCredential,
    rotateCertificates: scene.rotateCertificates,
    guard: (audit) => guard({ authenticate: scene.signatures(), authorize: scope('orders:publish'), audit }),
    async consume(judge, handle) {
      const options = { client: scene.nats, stream: 'orders', consumer: 'worker', guard: judge, deadLetter: 'dead' }
      opened.push(
        await consumer(options, ({ content, stored }, { subject }) =>
          handle(content.toString(), subject, String(stored?.sequence), (stored?.deliveries ?? 0) > 1),
        ),
      )
    },
    async deadLetters(heard) {
      const connection = await scene.nats.open()
      opened.push(connection)
      const letters = await (await jetstream(connection).consumers.get('dead', 'worker')).consume()
      void (async () => {
        for await (const letter of letters) {
          heard(letter.string())
          letter.ack()
        }
      })()
    },
    send: (content) => sending.send({ subject: 'orders', content }),
    sendUnsigned: (content) => anonymous.send({ subject: 'orders', content }),
    async close() {
      await Promise.all(opened.map((one) => one.close()))
      await scene.close()
    },
  }
}

/** A thousand messages and three rotations, or a hundred thousand and twenty. */
export function run(options: RunOptions): Promise<Table> {
  return soakTable('NATS JetStream', open, options)
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const { values } = parseArgs({ options: { long: { type: 'boolean', default: false } } })
  const alive = setInterval(() => undefined, 60_000)
  printTable(await run({ quick: !values.long }))
  clearInterval(alive)
}
