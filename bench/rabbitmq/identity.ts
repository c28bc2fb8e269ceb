import type { Anonymous, Guard, Principal } from '@portcullis/core'
import { consumer, everyone, guard, producer, type ConsumerOptions, type RabbitmqConsumer } from '@portcullis/rabbitmq'
import { withoutIdentity } from '@portcullis/rabbitmq/danger'
import { counting, payload, sendAll, throughputTable } from '../broker-throughput.ts'
import type { RunOptions, Table } from '../table.ts'
import { rabbitmqScene } from './scene.ts'

/** Messages per second, stored in a queue and handled, with signed messages and without, beside the bare library. */
export async function run({ quick }: RunOptions): Promise<Table> {
  const count = quick ? 3_000 : 30_000
  const scene = await rabbitmqScene()
  const rows: (string | number)[][] = []
  try {
    for (const name of ['bare', 'unsigned', 'signed', 'signed2', 'dead']) await scene.queue(name)
    const model = await scene.rabbitmq.open()
    const channel = await model.createConfirmChannel()
    const content = Buffer.from(payload)
    const publish = (): Promise<void> =>
      new Promise((resolve, reject) => {
        channel.sendToQueue('bare', content, { persistent: true, mandatory: true }, (error: unknown) =>
          error === null || error === undefined ? resolve() : reject(new Error('not confirmed', { cause: error })),
        )
      })
    const bareSent = await sendAll(count, publish)
    const bare = counting(count)
    await channel.prefetch(500)
    await channel.consume('bare', (message) => {
      if (message !== null) channel.ack(message)
      bare.handle()
    })
    rows.push(['amqplib alone', bareSent, await bare.done])
    await model.close()

    for (const [name, queue, identity, judged] of [
      ['@portcullis/rabbitmq, unsigned', 'unsigned', withoutIdentity, by(guard({ authenticate: everyone() }))],
      ['@portcullis/rabbitmq, signed (ES256)', 'signed', scene.identity, by(guard({ authenticate: scene.signatures() }))],
      ["the same, verifyOn: 'eventLoop'", 'signed2', scene.identity, by(guard({ authenticate: scene.signatures('eventLoop') }))],
    ] as const) {
      const sending = await producer({ client: scene.rabbitmq, identity })
      const sent = await sendAll(count, () => sending.send({ routingKey: queue, content: payload }))
      await sending.close()
      const { done, handle } = counting(count)
      const receiving = await judged({ client: scene.rabbitmq, queue, deadLetter: 'dead', prefetch: 500 }, handle)
      rows.push([name, sent, await done])
      await receiving.close()
    }
  } finally {
    await scene.close()
  }
  return throughputTable('RabbitMQ', count, rows)
}

type Consuming = (options: Omit<ConsumerOptions, 'guard'>, handle: () => void) => Promise<RabbitmqConsumer>

function by<P extends Principal | Anonymous>(judge: Guard<P>): Consuming {
  return (options, handle) => consumer({ ...options, guard: judge }, handle)
}
