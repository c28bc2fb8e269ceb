import { jetstream } from '@nats-io/jetstream'
import { consumer, guard, producer, scope } from '@portcullis/nats'
import { withoutIdentity } from '@portcullis/nats/danger'
import { alone, soakTable, type SoakScene } from '../broker-soak.ts'
import type { RunOptions, Table } from '../table.ts'
import { natsScene } from './scene.ts'

/** A stream, its consumer, and producers with and without an identity. */
export async function open(): Promise<SoakScene> {
  const scene = await natsScene({ lifeMs: 1_500 })
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
  return soakTable('NATS JetStream', { '@nats-io/jetstream': open }, options)
}

if (import.meta.main) await alone(run)
