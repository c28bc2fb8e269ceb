import { createHash, randomUUID } from 'node:crypto'
import { connect as connectTcp } from 'node:net'
import { once } from 'node:events'
import { setTimeout as wait } from 'node:timers/promises'
import { basicCredentials } from '@portcullis/auth'
import { credentialOf, secret, type BoundSource } from '@portcullis/core'
import { envelopeType, signedMessages } from '@portcullis/message'
import { startRabbitmq, type Rabbitmq } from '@portcullis/test-servers'
import {
  describeConformance,
  type Carrier,
  type Given,
  type Harness,
  type Observed,
  type Outcome,
  type TestIssuer,
  type TokenFacts,
  type Unsupported,
} from '@portcullis/testkit'
import type { ChannelModel } from 'amqplib'
import { afterAll, beforeAll } from 'vitest'
import { client, consumer, deadLetterReasons, producer, type ClientOptions, type RabbitmqClient } from './index.ts'

// The scenarios' tokens live five minutes, and so do the messages here.
const maxAgeSeconds = 300
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

/** How a peer of a scenario that the wire excludes reaches the broker after all, to be refused there. */
let by: 'password' | 'certificate' | 'kitTrust' | 'otherName' = 'password'
const reaching =
  (way: typeof by, given: Given) =>
  async (stage: Parameters<NonNullable<Unsupported['attempt']>>[0]): Promise<Observed> => {
    by = way
    try {
      return await stage.attempt(given)
    } finally {
      by = 'password'
    }
  }

const relayed = 'a broker stands between: whose certificate it saw is no fact of the message'
const noCertificate: Unsupported = { because: relayed, observed: 'challenged' }
const byBroker = (given: Given): Unsupported => ({
  because: `${relayed}; the broker refuses it`,
  observed: 'closed',
  attempt: reaching('certificate', given),
})
const noWords: Unsupported = {
  because: 'a producer is answered by the broker and never by a consumer, so there is nobody to challenge it',
  observed: 'challenged',
  attempt: (stage) => stage.attempt({ presents: [] }),
}
const notLive: Unsupported = {
  because: 'each message is judged on its own; there is no connection between producer and consumer that could end or be renewed',
  observed: 'challenged',
  attempt: (stage) => stage.attempt({ presents: [{ token: { expiresInSeconds: -60 } }] }),
}
const noProof: Unsupported = {
  because: 'RFC 9449 section 4.2: a proof names an HTTP method and URI; the signature of a message covers the message itself',
  observed: 'challenged',
  attempt: (stage) => stage.attempt({ presents: [{ raw: 'DPoP token' }] }),
}

const outcomes: Readonly<Record<string, Outcome>> = {
  [deadLetterReasons.missing]: 'challenged',
  [deadLetterReasons.malformed]: 'challenged',
  [deadLetterReasons.invalid]: 'challenged',
  [deadLetterReasons.stepUp]: 'challenged',
  [deadLetterReasons.insufficientScope]: 'forbidden',
  [deadLetterReasons.forbidden]: 'forbidden',
}

/** Which rights a signer has stands with the consumer, by issuer; so each set of scopes is a signer of its own. */
function issuerFor(issuer: TestIssuer, { scopes = ['orders:read'], issuer: named = issuer.issuer }: TokenFacts): string {
  return scopes.join(' ') === 'orders:read' ? named : `${named}/${scopes.join('+')}`
}

function harness(): Harness {
  let current: TestIssuer
  const envelope = (facts: TokenFacts, queue: string, payload: string): string => {
    const now = Math.floor(current.clock.now() / 1000)
    const {
      subject = 'alice',
      audience = current.audience,
      expiresInSeconds = maxAgeSeconds,
      notBeforeInSeconds,
      claims,
      header,
      defect,
    } = facts
    const signedAt =
      notBeforeInSeconds === undefined && expiresInSeconds !== 'never'
        ? now - maxAgeSeconds - 1 + expiresInSeconds
        : now + (notBeforeInSeconds ?? 0)
    const payloadOfJws = {
      iss: issuerFor(current, facts),
      sub: subject,
      aud: audience,
      jti: randomUUID(),
      ...(expiresInSeconds !== 'never' && { iat: signedAt }),
      dst: `amqp:0:/${queue}`,
      dig: createHash('sha256').update(payload).digest('base64url'),
      ...claims,
    }
    return current.sign({ typ: envelopeType, ...header }, payloadOfJws, defect)
  }
  return {
    mechanism: ({ issuer, keys: from }) => {
      current = issuer
      const keys = from === 'document' ? { jwks: issuer.jwks } : { jwksUri: from.unreachable }
      const signer = (name: string, ...scopes: string[]) => ({
        issuer: name,
        keys,
        subjects: 'any' as const,
        ...(scopes.length > 0 && { scopes: scopes as [string, ...string[]] }),
      })
      return signedMessages({
        audience: issuer.audience,
        signers: [
          signer(issuer.issuer, 'orders:read'),
          signer(`${issuer.issuer}/`),
          signer(`${issuer.issuer}/orders+orders:readall`, 'orders', 'orders:readall'),
          signer(`${issuer.issuer}/orders:read+orders:write`, 'orders:read', 'orders:write'),
        ],
        maxAgeMs: maxAgeSeconds * 1000,
        clock: issuer.clock,
      })
    },
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
            by === 'certificate'
              ? {
                  credentials: 'certificate',
                  tls: { side: 'client', trust: { pem: broker.pki.ca.certificate }, ...(identity && { identity: { pem: identity.pem } }) },
                }
              : by === 'kitTrust'
                ? { tls: { side: 'client', trust: { pem: trust } } }
                : {}
          let native: Promise<ChannelModel> | undefined
          return {
            async call(operation) {
              if (plaintext) return await inTheClear(broker)
              const model = await (native ??= open(options).then(connected))
              const channel = await model.createConfirmChannel()
              return await awaited(async (id) => {
                const headers = headersOf(carriers, (facts) => envelope(facts, queueOf(operation), 'read, please'))
                channel.sendToQueue(queueOf(operation), Buffer.from('read, please'), {
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
          // What the kit's source yields says who signs; its signature is made here, as `messageSigner` does.
          const identity: BoundSource = async ({ target, binding }) => {
            const { credential } = await source({ target })
            const token = credentialOf([credential], 'bearer')?.token.reveal() ?? ''
            const { sub, exp } = JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString()) as { sub: string; exp: number }
            const { message, uri } = binding
            const facts = { subject: sub, expiresInSeconds: exp - Math.floor(current.clock.now() / 1000), claims: { jti: message?.id } }
            return {
              credential: { kind: 'envelope', carrier: 'message', envelope: envelope(facts, uri.slice('amqp:0:/'.length), 'read, please') },
            }
          }
          const own = await open({
            ...(plaintextPort !== undefined && {
              url: `amqps://localhost:${plaintextPort}`,
              credentials: () => ({ credential: { kind: 'bearer', carrier: 'sasl', token: secret('unused') } }),
            }),
            ...(by === 'kitTrust' && { tls }),
            ...(by === 'otherName' && { serverName: 'other.example' }),
          })
          const sending = await producer({ client: own, identity, maxAttempts: 1 })
          opened.push(sending)
          return {
            call: (operation) =>
              awaited((id) => sending.send({ routingKey: queueOf(operation), content: 'read, please', headers: { [callId]: id } })),
          }
        },
        async close() {
          for (const one of opened.toReversed()) await Promise.resolve(one.close()).catch(() => undefined)
        },
      }
    },
    unsupported: {
      'credential.twoInOneCarrier': {
        because: 'AMQP 0-9-1 section 4.2.5.5: a name stands once in a table; a list in its place is no text, and counts as nothing',
        observed: 'challenged',
      },
      'credential.challengeNamesScheme': noWords,
      'policy.secondFactorPresent': noCertificate,
      'channel.certificate': noCertificate,
      'channel.certificateMissing': byBroker({}),
      'channel.certificateForeign': byBroker({ certificate: 'foreign' }),
      'channel.certificateExpired': byBroker({ certificate: 'expired' }),
      'channel.certificateUsage': byBroker({ certificate: 'serverOnly' }),
      'channel.boundToThis': noCertificate,
      'channel.boundToOther': noCertificate,
      'channel.boundToNone': noCertificate,
      'channel.swap': {
        because: "the broker's certificate is exchanged at the broker, and no part of this adapter serves one",
        observed: 'closed',
        attempt: reaching('kitTrust', {}),
      },
      'client.certificate': noCertificate,
      'client.untrustedServer': {
        because: "the broker has a certificate of its own and not the kit's; a client that trusts the kit's authority alone refuses it",
        observed: 'clientRefused',
        attempt: reaching('kitTrust', { by: 'client' }),
      },
      'client.wrongHostName': {
        because: "the broker has a certificate of its own and not the kit's; a client that expects another name refuses it",
        observed: 'clientRefused',
        attempt: reaching('otherName', { by: 'client' }),
      },
      'client.oneRefresh': noWords,
      'client.renewal': notLive,
      'proof.sound': noProof,
      'proof.otherTarget': noProof,
      'proof.replayed': noProof,
      'live.expiry': notLive,
      'live.clockStep': notLive,
      'live.revocation': notLive,
      'live.revocationOfAnother': notLive,
      'live.reauthentication': notLive,
      'live.otherSubject': notLive,
      'live.refusedReauthentication': notLive,
      'live.scopeLost': notLive,
      'live.policyChange': notLive,
      'live.certificate': notLive,
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

function headersOf(carriers: readonly Carrier[], sign: (facts: TokenFacts) => string): Record<string, unknown> {
  const headers: Record<string, unknown> = {}
  for (const { credential, facts, text, place } of carriers) {
    const name = place === 'second' ? 'Portcullis-Identity' : 'portcullis-identity'
    // What is bound to a key is an access token and no message's signature, so it is sent as the token that it is.
    const access = facts?.confirmation !== undefined && credential?.kind === 'bearer' ? credential.token.reveal() : undefined
    const value = access ?? (facts === undefined ? text : sign(facts))
    headers[name] = place === 'same' ? [headers[name], value] : value
  }
  return headers
}

await describeConformance('rabbitmq', harness())
