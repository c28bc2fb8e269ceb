import { randomUUID } from 'node:crypto'
import { connect as connectTcp } from 'node:net'
import { once } from 'node:events'
import { setTimeout as wait } from 'node:timers/promises'
import { basicCredentials } from '@portcullis/auth'
import { secret } from '@portcullis/core'
import { brokerKit, content, outcomes } from '@portcullis/test-conformance/broker-kit'
import { startRabbitmq, type Rabbitmq } from '@portcullis/test-servers'
import { describeConformance, type Carrier, type Harness, type Observed } from '@portcullis/testkit'
import type { ChannelModel } from 'amqplib'
import { afterAll, beforeAll } from 'vitest'
import { client, consumer, producer, type ClientOptions, type RabbitmqClient } from './index.ts'
import { addressOf } from './message.ts'

// By then a dead letter or an answer would have come; a message that waits to be judged brings neither.
const silenceMs = 1_000
const callId = 'call'

let broker: Rabbitmq
let origin: string
beforeAll(async () => {
  broker = await startRabbitmq()
  origin = `amqps://localhost:${broker.port}`
}, 60_000)
afterAll(() => broker?.[Symbol.asyncDispose](), 30_000)

const kit = brokerKit({
  broker: 'broker',
  unchallenged: 'a producer is answered by the broker and never by a consumer, so there is nobody to challenge it',
})

function harness(): Harness {
  return {
    mechanism: kit.mechanism,
    async listen({ operations, application }) {
      const run = randomUUID()
      const dead = `${run}-dead`
      const queueOf = (operation: string): string => `${run}-${operation}`
      const opened: { close(): unknown }[] = []
      const open = async (options: Partial<ClientOptions> = {}): Promise<RabbitmqClient> => {
        const credentials = basicCredentials({ username: 'app', password: 'app-secret', targets: [origin] })
        const tls = { side: 'client', trust: { pem: broker.pki.ca.certificate } } as const
        const own = await client({ url: origin, tls, credentials, timeoutMs: 3_000, ...options })
        opened.push(own)
        return own
      }
      const connected = async (own: RabbitmqClient): Promise<ChannelModel> => {
        const model = await own.open()
        opened.push(model)
        return model
      }
      const waiting = new Map<unknown, (observed: Observed) => void>()
      const listening = await open()
      const watching = await (await connected(listening)).createChannel()
      for (const queue of [dead, ...operations.map(({ name }) => queueOf(name))]) await watching.assertQueue(queue, { autoDelete: true })
      await watching.consume(
        dead,
        (letter) => {
          const { headers = {} } = letter?.properties ?? {}
          const said = Object.entries(headers).filter(([name]) => name.startsWith('portcullis-dead'))
          const outcome = outcomes[String(headers['portcullis-dead-letter-reason'])] ?? 'closed'
          waiting.get(headers[callId])?.({ outcome, wire: JSON.stringify(said) })
        },
        { noAck: true },
      )
      for (const { name, guard } of operations)
        opened.push(
          await consumer({ client: listening, queue: queueOf(name), guard, deadLetter: dead }, (message, principal) => {
            const answer = application.answer(name, principal)
            waiting.get(message.headers.get(callId))?.({ outcome: 'allowed', answer, wire: answer })
          }),
        )
      const awaited = async (send: (id: string) => Promise<unknown>): Promise<Observed> => {
        const id = randomUUID()
        const answer = new Promise<Observed>((resolve) => waiting.set(id, resolve))
        await send(id)
        return Promise.race([answer, wait(silenceMs, { outcome: 'unavailable' as const, wire: '' })])
      }
      return {
        origin,
        peer: ({ carriers, identity, trust, plaintext }) => {
          const options: Partial<ClientOptions> =
            kit.way() === 'certificate'
              ? {
                  credentials: 'certificate',
                  tls: { side: 'client', trust: { pem: broker.pki.ca.certificate }, ...(identity && { identity: { pem: identity.pem } }) },
                }
              : kit.way() === 'kitTrust'
                ? { tls: { side: 'client', trust: { pem: trust } } }
                : {}
          let native: Promise<ChannelModel> | undefined
          return {
            async call(operation) {
              if (plaintext) return await inTheClear(broker)
              const model = await (native ??= open(options).then(connected))
              const channel = await model.createConfirmChannel()
              return await awaited(async (id) => {
                const headers = headersOf(carriers, addressOf('', queueOf(operation)))
                channel.sendToQueue(queueOf(operation), Buffer.from(content), {
                  headers: { ...headers, [callId]: id },
                  mandatory: true,
                })
                // What no queue takes comes back.
                const returned = new Promise<never>((_resolve, reject) => channel.once('return', () => reject(new Error('unroutable'))))
                await Promise.race([channel.waitForConfirms(), returned])
              })
            },
          }
        },
        client: async ({ source, tls, plaintextPort }) => {
          const own = await open({
            ...(plaintextPort !== undefined && {
              url: `amqps://localhost:${plaintextPort}`,
              credentials: () => ({ credential: { kind: 'bearer', carrier: 'sasl', token: secret('unused') } }),
            }),
            ...(kit.way() === 'kitTrust' && { tls }),
            ...(kit.way() === 'otherName' && { serverName: 'other.example' }),
          })
          const sending = await producer({ client: own, identity: kit.signer(source), maxAttempts: 1 })
          opened.push(sending)
          return {
            call: (operation) => awaited((id) => sending.send({ routingKey: queueOf(operation), content, headers: { [callId]: id } })),
          }
        },
        async close() {
          for (const one of opened.toReversed()) await Promise.resolve(one.close()).catch(() => undefined)
        },
      }
    },
    unsupported: {
      ...kit.unsupported,
      'credential.twoInOneCarrier': {
        because: 'AMQP 0-9-1 section 4.2.5.5: a name stands once in a table; a list in its place is no text, and counts as nothing',
        observed: 'challenged',
      },
    },
  }
}

/** A client that leaves TLS out, as far as the broker lets it. */
async function inTheClear({ port }: Rabbitmq): Promise<Observed> {
  const socket = connectTcp(port, '127.0.0.1')
  let heard = ''
  socket.on('data', (chunk: Buffer) => (heard += chunk.toString('latin1')))
  socket.on('error', () => undefined)
  socket.write('AMQP\0\0\x09\x01')
  await once(socket, 'close')
  // A broker that speaks in the clear answers with its Start method, which names the mechanisms.
  return { outcome: heard.includes('PLAIN') ? 'allowed' : 'closed', wire: '' }
}

function headersOf(carriers: readonly Carrier[], address: string): Record<string, unknown> {
  const headers: Record<string, unknown> = {}
  for (const carrier of carriers) {
    const [name, value] = kit.header(carrier, address)
    headers[name] = carrier.place === 'same' ? [headers[name], value] : value
  }
  return headers
}

await describeConformance('rabbitmq', harness())
