import { jetstream } from '@nats-io/jetstream'
import type { Anonymous, Guard, Principal } from '@portcullis/core'
import { consumer, everyone, guard, producer, type ConsumerOptions, type NatsConsumer } from '@portcullis/nats'
import { withoutIdentity } from '@portcullis/nats/danger'
import type { RunOptions, Table } from '../table.ts'
import { natsScene } from './scene.ts'

const payload = 'x'.repeat(200)
const atOnce = 100

/** Messages per second, stored in a stream and handled, with signed messages and without, beside the bare library. */
export async function run({ quick }: RunOptions): Promise<Table> {
  const count = quick ? 3_000 : 30_000
  const scene = await natsScene()
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
    for (const name of ['bare', 'unsigned', 'signed', 'signed2', 'dead']) await scene.stream(name)
    const connection = await scene.nats.open()
    const js = jetstream(connection)
    const bareSent = await sendAll(() => js.publish('bare', payload))
    const bare = counting()
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
      const sent = await sendAll(() => sending.send({ subject: stream, content: payload }))
      await sending.close()
      const { done, handle } = counting()
      const receiving = await judged({ client: scene.nats, stream, consumer: 'worker', deadLetter: 'dead', prefetch: 500 }, handle)
      rows.push([name, sent, await done])
      await receiving.close()
    }
  } finally {
    await scene.close()
  }
  return {
    title: 'NATS JetStream: messages of 200 bytes, with and without a signed identity, beside the bare library',
    note: `${count} messages, ${atOnce} on the way to be confirmed at a time, at most 500 to be handled; the server, both ends and the signatures share this machine. Handled: from the first message to the last.`,
    columns: ['', 'stored / s', 'handled / s'],
    rows,
  }
}

type Consuming = (options: Omit<ConsumerOptions, 'guard'>, handle: () => void) => Promise<NatsConsumer>

function by<P extends Principal | Anonymous>(judge: Guard<P>): Consuming {
  return (options, handle) => consumer({ ...options, guard: judge }, handle)
}
