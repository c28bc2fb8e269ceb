import type { Anonymous, Guard, Principal } from '@portcullis/core'
import { consumer, everyone, guard, producer, type ConsumerOptions, type RabbitmqConsumer } from '@portcullis/rabbitmq'
import { withoutIdentity } from '@portcullis/rabbitmq/danger'
import type { RunOptions, Table } from '../table.ts'
import { rabbitmqScene } from './scene.ts'

const payload = 'x'.repeat(200)
const atOnce = 100

/** Messages per second, stored in a queue and handled, with signed messages and without, beside the bare library. */
export async function run({ quick }: RunOptions): Promise<Table> {
  const count = quick ? 3_000 : 30_000
  const scene = await rabbitmqScene()
  const rows: (string | number)[][] = []
  const sendAll = async (send: () => Promise<unknown>): Promise<number> => {
    let left = count
    const lane = async (): Promise<void> => {
      while (left-- > 0) await send()
    }
    const startedAt = performance.now()
    await Promise.all(Array.from({ length: atOnce }, lane))
    return Math.round((count * 1_000) / (performance.now() - startedAt))
  }
  const counting = (): { readonly done: Promise<number>; readonly handle: () => void } => {
    const all = Promise.withResolvers<number>()
    let [handled, startedAt] = [0, 0]
    return {
      done: all.promise,
      handle: () => {
        if (handled++ === 0) startedAt = performance.now()
        if (handled === count) all.resolve(Math.round((count * 1_000) / (performance.now() - startedAt)))
      },
    }
  }
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
    const bareSent = await sendAll(publish)
    const bare = counting()
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
      const sent = await sendAll(() => sending.send({ routingKey: queue, content: payload }))
      await sending.close()
      const { done, handle } = counting()
      const receiving = await judged({ client: scene.rabbitmq, queue, deadLetter: 'dead', prefetch: 500 }, handle)
      rows.push([name, sent, await done])
      await receiving.close()
    }
  } finally {
    await scene.close()
  }
  return {
    title: 'RabbitMQ: messages of 200 bytes, with and without a signed identity, beside the bare library',
    note: `${count} messages, ${atOnce} on the way to be confirmed at a time, at most 500 to be handled; the broker, both ends and the signatures share this machine. Handled: from the first message to the last.`,
    columns: ['', 'stored / s', 'handled / s'],
    rows,
  }
}

type Consuming = (options: Omit<ConsumerOptions, 'guard'>, handle: () => void) => Promise<RabbitmqConsumer>

function by<P extends Principal | Anonymous>(judge: Guard<P>): Consuming {
  return (options, handle) => consumer({ ...options, guard: judge }, handle)
}
