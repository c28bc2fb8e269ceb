import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { connect as connectTcp } from 'node:net'
import { isSecurityError, secret } from '@portcullis/core'
import { brokerKit, content } from '@portcullis/test-conformance/broker-kit'
import { startNats } from '@portcullis/test-servers'
import { describeConformance, type Harness, type Observed, type Outcome } from '@portcullis/testkit'
import { afterAll, beforeAll } from 'vitest'
import type { MsgHdrs, NatsConnection } from '@nats-io/transport-node'
import { anyReply, withoutIdentity } from './danger.ts'
import { publisher, subscriber, type ClientOptions } from './index.ts'
import { addressOf, nativeHeaders } from './message.ts'
import { Scene } from './nats.test-support.ts'

// By then an answer would have come; a message that waits to be judged brings none.
const silenceMs = 1_000

let at: Scene
let demanding: Scene
beforeAll(async () => {
  at = new Scene(await startNats())
  demanding = new Scene(await startNats({ clientCertificate: 'verify' }))
}, 60_000)
afterAll(async () => {
  await at?.[Symbol.asyncDispose]()
  await demanding?.[Symbol.asyncDispose]()
})

const kit = brokerKit({
  broker: 'server',
  unchallenged: 'an answer of NATS has a status and no challenge, and the identity of a refused message is not sent again',
})
const outcomes: Readonly<Record<string, Outcome>> = { 400: 'challenged', 401: 'challenged', 403: 'forbidden' }

function harness(): Harness {
  return {
    mechanism: kit.mechanism,
    unsupported: kit.unsupported,
    async listen({ operations, application }) {
      const run = randomUUID()
      const subjectOf = (operation: string): string => `${run}.${operation}`
      const opened: { close(): Promise<unknown> }[] = []
      const listening = await at.open()
      for (const { name, guard } of operations)
        opened.push(
          await subscriber(
            { client: listening, subject: subjectOf(name), guard, deadLetter: `${run}-dead`, identity: withoutIdentity },
            (_message, principal) => ({ content: application.answer(name, principal) }),
          ),
        )
      return {
        origin: at.origin,
        peer: ({ carriers, identity, trust, plaintext }) => {
          const way = kit.way()
          const scene = way === 'certificate' ? demanding : at
          const options: Partial<ClientOptions> = {
            timeoutMs: 800,
            tls:
              way === 'kitTrust'
                ? { side: 'client', trust: { pem: trust } }
                : { ...scene.trust(), ...(way === 'certificate' && identity && { identity: { pem: identity.pem } }) },
          }
          let native: Promise<NatsConnection> | undefined
          return {
            async call(operation) {
              if (plaintext) return await inTheClear(at)
              const connection = await (native ??= scene.open(options).then((own) => own.open()))
              const headers = nativeHeaders(carriers.map((carrier) => kit.header(carrier, addressOf(subjectOf(operation)))))
              return await observed(connection, subjectOf(operation), headers)
            },
            close: () => native?.then((one) => one.close()).catch(() => undefined),
          }
        },
        client: async ({ source, tls, plaintextPort }) => {
          const own = await at.open({
            timeoutMs: 800,
            ...(plaintextPort !== undefined && {
              servers: `tls://localhost:${plaintextPort}`,
              credentials: () => ({ credential: { kind: 'nkey', carrier: 'connect', seed: secret('SUNUSED') } }),
            }),
            ...(kit.way() === 'kitTrust' && { tls }),
            ...(kit.way() === 'otherName' && { serverName: 'other.example' }),
          })
          // Whether it is let in at all, without the attempts of one that waits for its server.
          await (await own.open()).close()
          const asking = await publisher({ client: own, identity: kit.signer(source), replies: anyReply })
          opened.push(asking)
          return {
            async call(operation) {
              try {
                const { message } = await asking.request({ subject: subjectOf(operation), content }, { timeoutMs: silenceMs })
                return { outcome: 'allowed', answer: message.content.toString(), wire: message.content.toString() }
              } catch (error) {
                return { outcome: isSecurityError(error, 'ERR_NATS_REQUEST_REFUSED') ? 'challenged' : 'unavailable', wire: String(error) }
              }
            },
          }
        },
        close: async () => void (await Promise.allSettled(opened.toReversed().map((one) => one.close()))),
      }
    },
  }
}

async function observed(connection: NatsConnection, subject: string, headers: MsgHdrs): Promise<Observed> {
  try {
    const { data, headers: said } = await connection.request(subject, content, { headers, timeout: silenceMs })
    const answer = Buffer.from(data).toString()
    const status = said?.get('Nats-Service-Error-Code')
    if (status === undefined || status === '') return { outcome: 'allowed', answer, wire: answer }
    return { outcome: outcomes[status] ?? 'closed', wire: `${status} ${said?.get('Nats-Service-Error')}` }
  } catch (error) {
    return { outcome: (error as Error).name === 'TimeoutError' ? 'unavailable' : 'closed', wire: String(error) }
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

await describeConformance('nats', harness())
