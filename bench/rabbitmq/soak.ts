import { consumer, everyone, guard, producer, scope } from '@portcullis/rabbitmq'
import { dropRefused, withoutIdentity } from '@portcullis/rabbitmq/danger'
import { alone, soakTable, type SoakScene } from '../broker-soak.ts'
import type { RunOptions, Table } from '../table.ts'
import { rabbitmqScene } from './scene.ts'

/** A queue, its consumer, and producers with and without an identity. */
export async function open(): Promise<SoakScene> {
  const scene = await rabbitmqScene({ renewing: true })
  await scene.queue('orders')
  await scene.queue('dead')
  const sending = await producer({ client: scene.rabbitmq, identity: scene.identity, maxAttempts: 30 })
  const anonymous = await producer({ client: scene.rabbitmq, identity: withoutIdentity, maxAttempts: 30 })
  const opened: { close(): Promise<unknown> }[] = [sending, anonymous]
  return {
    credentials: scene.credentials,
    rotateCredential: scene.rotateCredential,
    rotateCertificates: scene.rotateCertificates,
    guard: (audit) => guard({ authenticate: scene.signatures(), authorize: scope('orders:publish'), audit }),
    async consume(judge, handle) {
      const options = { client: scene.rabbitmq, queue: 'orders', guard: judge, deadLetter: 'dead', prefetch: 100 }
      opened.push(await consumer(options, ({ content, redelivered }, { subject }) => handle(content.toString(), subject, '', redelivered)))
    },
    async deadLetters(heard) {
      const options = {
        client: scene.rabbitmq,
        queue: 'dead',
        guard: guard({ authenticate: everyone() }),
        deadLetter: dropRefused,
      } as const
      opened.push(await consumer(options, ({ content }) => heard(content.toString())))
    },
    send: (content) => sending.send({ routingKey: 'orders', content }),
    sendUnsigned: (content) => anonymous.send({ routingKey: 'orders', content }),
    async close() {
      await Promise.all(opened.map((one) => one.close()))
      await scene.close()
    },
  }
}

/** A thousand messages and three expiries of the token, or a hundred thousand and twenty. */
export function run(options: RunOptions): Promise<Table> {
  return soakTable('RabbitMQ', { amqplib: open }, options)
}

if (import.meta.main) await alone(run)
