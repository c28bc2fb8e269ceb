import { Consumer, Producer } from '@platformatic/kafka'
import type { Anonymous, Guard, Principal } from '@portcullis/core'
import { consumer, everyone, guard, producer, type ConsumerOptions, type KafkaConsumer } from '@portcullis/kafka'
import { withoutIdentity } from '@portcullis/kafka/danger'
import { sasl, ssl } from '@portcullis/kafka/platformatic'
import type { RunOptions, Table } from '../table.ts'
import { kafkaScene } from './scene.ts'

const batch = 100
const payload = 'x'.repeat(200)

/** Messages per second, sent in confirmed batches and handled, with signed messages and without, beside the bare library. */
export async function run({ quick }: RunOptions): Promise<Table> {
  const count = quick ? 3_000 : 30_000
  const scene = await kafkaScene()
  const base = {
    clientId: 'bare',
    bootstrapBrokers: [...scene.brokers],
    ...ssl(scene.tls),
    ...sasl({ mechanism: 'OAUTHBEARER', source: scene.source, origin: scene.origin }),
  }
  const values = Array.from({ length: batch }, () => payload)
  const timed = async (task: () => Promise<void>): Promise<number> => {
    const startedAt = performance.now()
    await task()
    return Math.round((count * 1_000) / (performance.now() - startedAt))
  }
  const rows: (string | number)[][] = []
  try {
    await scene.topics(['bare', 'unsigned', 'signed', 'signed2', 'dead'])
    const client = await scene.open('platformatic')

    const bareProducer = new Producer({ ...base, acks: -1 })
    await bareProducer.send({ messages: [{ topic: 'bare', value: Buffer.from('first') }] })
    const bareSent = await timed(async () => {
      for (let n = 0; n < count; n += batch)
        await bareProducer.send({ messages: values.map((value) => ({ topic: 'bare', value: Buffer.from(value) })) })
    })
    await bareProducer.close()
    const bareConsumer = new Consumer({ ...base, groupId: 'bare', autocommit: 500 })
    const stream = await bareConsumer.consume({ topics: ['bare'], mode: 'earliest', autocommit: 500 })
    const bareHandled = await timed(async () => {
      let handled = 0
      for await (const { value } of stream) if (value.length > 0 && ++handled > count) break
    })
    await bareConsumer.close(true)
    rows.push(['@platformatic/kafka alone', bareSent, bareHandled])

    for (const [name, topic, identity, judged] of [
      ['@portcullis/kafka, unsigned', 'unsigned', withoutIdentity, by(guard({ authenticate: everyone() }))],
      ['@portcullis/kafka, signed (ES256)', 'signed', scene.identity, by(guard({ authenticate: scene.signatures() }))],
      ["the same, verifyOn: 'eventLoop'", 'signed2', scene.identity, by(guard({ authenticate: scene.signatures('eventLoop') }))],
    ] as const) {
      const sending = await producer({ client, identity })
      await sending.send({ topic, value: 'first' })
      const sent = await timed(async () => {
        for (let n = 0; n < count; n += batch) await sending.send(values.map((value) => ({ topic, value })))
      })
      await sending.close()
      const done = Promise.withResolvers<void>()
      let handled = 0
      let startedAt = 0
      const handle = (): void => {
        if (handled++ === 0) startedAt = performance.now()
        if (handled > count) done.resolve()
      }
      const receiving = await judged({ client, group: topic, topics: [topic], deadLetter: 'dead' }, handle)
      await done.promise
      const perSecond = Math.round((count * 1_000) / (performance.now() - startedAt))
      await receiving.close()
      rows.push([name, sent, perSecond])
    }
    client.close()
  } finally {
    await scene.close()
  }
  return {
    title: 'Kafka: messages of 200 bytes, with and without a signed identity, beside the bare library',
    note: `${count} messages, in confirmed batches of ${batch}, one partition; the broker, both ends and the signatures share this machine. Handled: from the first message to the last, judged one after the other.`,
    columns: ['', 'sent / s', 'handled / s'],
    rows,
  }
}

type Consuming = (options: Omit<ConsumerOptions, 'guard'>, handle: () => void) => Promise<KafkaConsumer>

function by<P extends Principal | Anonymous>(judge: Guard<P>): Consuming {
  return (options, handle) => consumer({ ...options, guard: judge }, handle)
}
