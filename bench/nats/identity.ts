import { jetstream } from '@nats-io/jetstream'
import type { Anonymous, Guard, Principal } from '@portcullis/core'
import { consumer, everyone, guard, producer, type ConsumerOptions, type NatsConsumer } from '@portcullis/nats'
import { withoutIdentity } from '@portcullis/nats/danger'
import { counting, payload, sendAll, throughputTable } from '../broker-throughput.ts'
import type { RunOptions, Table } from '../table.ts'
import { natsScene } from './scene.ts'

/** Messages per second, stored in a stream and handled, with signed messages and without, beside the bare library. */
export async function run({ quick }: RunOptions): Promise<Table> {
  const count = quick ? 3_000 : 30_000
  const scene = await natsScene()
  const rows: (string | number)[][] = []
  try {
    for (const name of ['bare', 'unsigned', 'signed', 'signed2', 'dead']) await scene.stream(name)
    const connection = await scene.nats.open()
    const js = jetstream(connection)
    const bareSent = await sendAll(count, () => js.publish('bare', payload))
    const bare = counting(count)
    const messages = await (await js.consumers.get('bare', 'worker')).consume()
    void (async () => {
      for await (const message of messages) {
        message.ack()
        bare.handle()
      }
    })()
    rows.push(['@nats-io/jetstream alone', bareSent, await bare.done])
    await connection.close()

    for (const [name, stream, identity, judged] of [
      ['@portcullis/nats, unsigned', 'unsigned', withoutIdentity, by(guard({ authenticate: everyone() }))],
      ['@portcullis/nats, signed (ES256)', 'signed', scene.identity, by(guard({ authenticate: scene.signatures() }))],
      ["the same, verifyOn: 'eventLoop'", 'signed2', scene.identity, by(guard({ authenticate: scene.signatures('eventLoop') }))],
    ] as const) {
      const sending = await producer({ client: scene.nats, identity })
      const sent = await sendAll(count, () => sending.send({ subject: stream, content: payload }))
      await sending.close()
      const { done, handle } = counting(count)
      const receiving = await judged({ client: scene.nats, stream, consumer: 'worker', deadLetter: 'dead', prefetch: 500 }, handle)
      rows.push([name, sent, await done])
      await receiving.close()
    }
  } finally {
    await scene.close()
  }
  return throughputTable('NATS JetStream', count, rows)
}

type Consuming = (options: Omit<ConsumerOptions, 'guard'>, handle: () => void) => Promise<NatsConsumer>

function by<P extends Principal | Anonymous>(judge: Guard<P>): Consuming {
  return (options, handle) => consumer({ ...options, guard: judge }, handle)
}
