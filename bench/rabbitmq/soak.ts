import { pathToFileURL } from 'node:url'
import { parseArgs } from 'node:util'
import { consumer, everyone, guard, producer, scope } from '@portcullis/rabbitmq'
import { dropRefused, withoutIdentity } from '@portcullis/rabbitmq/danger'
import { soakTable, type SoakScene } from '../broker-soak.ts'
import { printTable, type RunOptions, type Table } from '../table.ts'
import { rabbitmqScene } from './scene.ts'

async function open(): Promise<SoakScene> {
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
  return soakTable('RabbitMQ', open, options)
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const { values } = parseArgs({ options: { long: { type: 'boolean', default: false } } })
  const alive = setInterval(() => undefined, 60_000)
  printTable(await run({ quick: !values.long }))
  clearInterval(alive)
}
