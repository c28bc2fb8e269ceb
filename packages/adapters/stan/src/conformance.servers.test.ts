import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { connect as connectTcp } from 'node:net'
import { setTimeout as wait } from 'node:timers/promises'
import { secret } from '@portcullis/core'
import { brokerKit, content, outcomes } from '@portcullis/test-conformance/broker-kit'
import { startStan } from '@portcullis/test-servers'
import { describeConformance, type Harness, type Observed } from '@portcullis/testkit'
import { StartPosition, type Message } from 'node-nats-streaming'
import { afterAll, beforeAll } from 'vitest'
import { consumer, frame, producer, unframe, type ClientOptions, type StanConnection } from './index.ts'
import { addressOf } from './message.ts'
import { Scene } from './stan.test-support.ts'

// By then a dead letter or an answer would have come; a message that waits to be judged brings neither.
const silenceMs = 1_000
const callId = 'call'

let at: Scene
let demanding: Scene
beforeAll(async () => {
  // Each scenario has channels of its own; as a rule a server takes a hundred.
  at = new Scene(await startStan({ streaming: 'username: user\npassword: password\nstore_limits: { max_channels: 0 }' }))
  demanding = new Scene(await startStan({ clientCertificate: 'verify' }))
}, 60_000)
afterAll(async () => {
  await at?.[Symbol.asyncDispose]()
  await demanding?.[Symbol.asyncDispose]()
})

const kit = brokerKit({
  broker: 'server',
  unchallenged: 'a producer is answered by the server and never by a consumer, so there is nobody to challenge it',
})

function harness(): Harness {
  return {
    mechanism: kit.mechanism,
    unsupported: kit.unsupported,
    async listen({ operations, application }) {
      const run = randomUUID()
      const dead = `${run}.dead`
      const channelOf = (operation: string): string => `${run}.${operation}`
      const opened: { close(): unknown }[] = []
      const waiting = new Map<unknown, (observed: Observed) => void>()
      const listening = await at.open()
      const watching = await listening.open(randomUUID())
      opened.push(watching)
      await watching.subscribe(dead, undefined, watching.stan.subscriptionOptions().setStartAt(StartPosition.FIRST), (subscription) =>
        subscription.on('message', (native: Message) => {
          const letter = unframe(native.getRawData())
          if (letter.kind !== 'framed') return
          const original = unframe(letter.content)
          const id = original.kind === 'framed' ? original.headers.find(([name]) => name === callId)?.[1] : undefined
          const reason = letter.headers.find(([name]) => name === 'portcullis-dead-letter-reason')?.[1] ?? ''
          waiting.get(id)?.({ outcome: outcomes[reason] ?? 'closed', wire: JSON.stringify(letter.headers) })
        }),
      )
      for (const { name, guard } of operations)
        opened.push(
          await consumer(
            { client: listening, clientId: randomUUID(), channel: channelOf(name), durable: 'kit', guard, deadLetter: dead },
            ({ headers }, principal) => {
              const answer = application.answer(name, principal)
              waiting.get(headers.get(callId)?.[0])?.({ outcome: 'allowed', answer, wire: answer })
            },
          ),
        )
      const awaited = async (send: (id: string) => Promise<unknown>): Promise<Observed> => {
        const id = randomUUID()
        const answer = new Promise<Observed>((resolve) => waiting.set(id, resolve))
        await send(id)
        return Promise.race([answer, wait(silenceMs, { outcome: 'unavailable' as const, wire: '' })])
      }
      return {
        origin: at.origin,
        peer: ({ carriers, identity, trust, plaintext }) => {
          const way = kit.way()
          const scene = way === 'certificate' ? demanding : at
          const options: Partial<ClientOptions> = {
            tls:
              way === 'kitTrust'
                ? { side: 'client', trust: { pem: trust } }
                : { ...scene.trust(), ...(way === 'certificate' && identity && { identity: { pem: identity.pem } }) },
          }
          let native: Promise<StanConnection> | undefined
          return {
            async call(operation) {
              if (plaintext) return await inTheClear(at)
              const own = await (native ??= scene.connect(options))
              const channel = channelOf(operation)
              const headers = carriers.map((carrier) => kit.header(carrier, addressOf(channel)))
              return await awaited((id) => own.publish(channel, frame([...headers, [callId, id]], Buffer.from(content))))
            },
            close: () => native?.then((own) => own.close()).catch(() => undefined),
          }
        },
        client: async ({ source, tls, plaintextPort }) => {
          const own = await at.open({
            timeoutMs: 800,
            ...(plaintextPort !== undefined && {
              servers: `tls://localhost:${plaintextPort}`,
              credentials: () => ({ credential: { kind: 'bearer', carrier: 'connect', token: secret('unused') } }),
            }),
            ...(kit.way() === 'kitTrust' && { tls }),
            ...(kit.way() === 'otherName' && { serverName: 'other.example' }),
          })
          const sending = await producer({ client: own, identity: kit.signer(source), maxAttempts: 1 })
          opened.push(sending)
          return {
            call: (operation) => awaited((id) => sending.send({ channel: channelOf(operation), content, headers: { [callId]: id } })),
          }
        },
        close: async () => void (await Promise.allSettled(opened.toReversed().map((one) => one.close()))),
      }
    },
  }
}

/** A client that leaves TLS out, as far as the server lets it. */
async function inTheClear({ server }: Scene): Promise<Observed> {
  const socket = connectTcp(server.port, '127.0.0.1')
  let heard = ''
  socket.on('data', (chunk: Buffer) => (heard += chunk.toString()))
  socket.on('error', () => undefined)
  await once(socket, 'data')
  socket.write(`CONNECT ${JSON.stringify({ verbose: false, user: server.username, pass: server.password })}\r\nPING\r\n`)
  if (!socket.closed) await once(socket, 'close')
  return { outcome: heard.includes('PONG') ? 'allowed' : 'closed', wire: '' }
}

await describeConformance('stan', harness())
