import { setTimeout as wait } from 'node:timers/promises'
import { consumer, everyone, guard, producer, scope } from '@portcullis/kafka'
import { dropRefused, withoutIdentity } from '@portcullis/kafka/danger'
import { alone, soakTable, type SoakScene } from '../broker-soak.ts'
import type { RunOptions, Table } from '../table.ts'
import { kafkaScene, type Library } from './scene.ts'

const sessionMs = 3_000

/** A topic of four partitions, its consumer, and producers with and without an identity. */
export async function open(library: Library): Promise<SoakScene> {
  const scene = await kafkaScene({ sessionMs })
  await scene.topics(['orders', 'orders-dead'], 4)
  const client = await scene.open(library)
  const sending = await producer({ client, identity: scene.identity, maxAttempts: 30 })
  const anonymous = await producer({ client, identity: withoutIdentity, maxAttempts: 30 })
  const opened: { close(): Promise<unknown> }[] = [sending, anonymous]
  let next = 0
  return {
    credentials: scene.credentials,
    async rotateCredential() {
      scene.rotateCredential()
      // Every connection has renewed its session by then.
      await wait(sessionMs)
    },
    rotateCertificates: () => scene.rotateCertificates(),
    guard: (audit) => guard({ authenticate: scene.signatures(), authorize: scope('orders:publish'), audit }),
    async consume(judge, handle) {
      const options = { client, group: 'warehouse', topics: ['orders'], guard: judge, deadLetter: 'orders-dead' } as const
      opened.push(
        await consumer(options, ({ value, partition, offset }, { subject }) =>
          handle(String(value), subject, `${partition}/${offset}`, false),
        ),
      )
    },
    async deadLetters(heard) {
      const options = {
        client,
        group: 'dead',
        topics: ['orders-dead'],
        guard: guard({ authenticate: everyone() }),
        deadLetter: dropRefused,
      } as const
      opened.push(await consumer(options, ({ value }) => heard(String(value))))
    },
    send: (value) => sending.send({ topic: 'orders', key: `k${next++ % 97}`, value }),
    sendUnsigned: (value) => anonymous.send({ topic: 'orders', value }),
    async close() {
      await Promise.all(opened.map((one) => one.close()))
      client.close()
      await scene.close()
    },
  }
}

/** A thousand messages and three sessions by the preferred library, or a hundred thousand and twenty by each. */
export function run(options: RunOptions): Promise<Table> {
  const preferred = { '@platformatic/kafka': () => open('platformatic') }
  return soakTable('Kafka', options.quick ? preferred : { ...preferred, kafkajs: () => open('kafkajs') }, options)
}

if (import.meta.main) await alone(run)
