import { createHash, randomUUID } from 'node:crypto'
import { setTimeout as wait } from 'node:timers/promises'
import { credentialOf, type BoundSource, type Guard } from '@portcullis/core'
import { envelopeType, signedMessages } from '@portcullis/message'
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
import { afterAll, beforeAll } from 'vitest'
import type { NativeConsumer, NativeProducer } from './client.ts'
import type { ClientOptions } from './client-options.ts'
import { plaintext } from './danger.ts'
import { consumer, deadLetterReasons, producer, type KafkaClient, type KafkaConsumer } from './index.ts'
import { broker, libraries, user, type TestBroker } from './kafka.test-support.ts'

// The scenarios' tokens live five minutes, and so do the messages here.
const maxAgeSeconds = 300
// By then a dead letter or an answer would have come; a message that waits to be judged brings neither.
const silenceMs = 1_500
const callId = 'call'

let at: TestBroker
let prefix: string
beforeAll(async () => {
  at = await broker()
  prefix = await at.kafka.namespace('alice')
}, 120_000)
afterAll(() => at.close(), 30_000)

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

const relayed = 'a broker stands between: whose certificate it saw is no fact of the message (KIP-84, KIP-368 know the connection alone)'
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

function harnessOf(open: (options: ClientOptions) => Promise<KafkaClient>): Harness {
  let current: TestIssuer
  const envelope = (facts: TokenFacts, topic: string, payload: string): string => {
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
      dst: `kafka:${topic}`,
      dig: createHash('sha256').update(payload).digest('base64url'),
      ...claims,
    }
    return current.sign({ typ: envelopeType, ...header }, payloadOfJws, defect)
  }
  return {
    wording: {},
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
      const run = `${prefix}${randomUUID()}`
      const dead = `${run}-dead`
      const topicOf = (operation: string): string => `${run}-${operation}`
      await at.topics([dead, ...operations.map(({ name }) => topicOf(name))], 1, 'CreateTime')
      const password: ClientOptions = {
        brokers: at.brokers,
        tls: at.tls,
        sasl: { mechanism: 'PLAIN', source: user('alice', 'alice-secret') },
      }
      const kafka = await open(password)
      const waiting = new Map<string, (observed: Observed) => void>()
      const idOf = (headers: readonly (readonly [string, Buffer])[]): string => String(headers.find(([name]) => name === callId)?.[1])
      const opened: { close(): Promise<void> }[] = []
      const consumers = new Map<string, Promise<KafkaConsumer>>()
      // A group is joined when somebody calls: of the operations of a scenario most are never called.
      const consuming = (operation: string): Promise<KafkaConsumer> | undefined => {
        const guard: Guard | undefined = operations.find(({ name }) => name === operation)?.guard
        if (guard === undefined) return undefined
        const started =
          consumers.get(operation) ??
          consumer(
            { client: kafka, group: topicOf(operation), topics: [topicOf(operation)], guard, deadLetter: dead },
            (message, principal) => {
              const answer = application.answer(operation, principal)
              waiting.get(idOf(message.headers))?.({ outcome: 'allowed', answer, wire: answer })
            },
          )
        consumers.set(operation, started)
        return started
      }
      let dying: Promise<NativeConsumer> | undefined
      const deadLetters = (): Promise<NativeConsumer> =>
        (dying ??= kafka.openConsumer({
          group: dead,
          topics: [dead],
          from: 'earliest',
          failed: () => undefined,
          receive: async ({ headers }) => {
            const said = Object.fromEntries(
              headers.filter(([name]) => name.startsWith('portcullis-dead')).map(([name, value]) => [name, String(value)]),
            )
            waiting.get(idOf(headers))?.({
              outcome: outcomes[said['portcullis-dead-letter-reason'] ?? ''] ?? 'closed',
              wire: JSON.stringify(said),
            })
          },
        }))
      const awaited = async (operation: string, send: (id: string) => Promise<void>): Promise<Observed> => {
        const id = randomUUID()
        const answer = new Promise<Observed>((resolve) => waiting.set(id, resolve))
        await send(id)
        await Promise.all([consuming(operation), deadLetters()])
        return Promise.race([answer, wait(silenceMs, { outcome: 'unavailable' as const, wire: '' })])
      }
      return {
        origin: kafka.origin,
        peer: ({ carriers, identity, trust, plaintext: bare }) => {
          let native: Promise<NativeProducer> | undefined
          const way = by
          const connected = async (): Promise<NativeProducer> => {
            const pair = identity && { identity: { pem: identity.pem } }
            const options: ClientOptions = bare
              ? { brokers: at.brokers, tls: plaintext }
              : way === 'certificate'
                ? { brokers: [at.kafka.mtlsBootstrap], tls: { ...at.tls, ...pair } }
                : { ...password, tls: way === 'kitTrust' ? { side: 'client', trust: { pem: trust } } : at.tls }
            const own = await open(options)
            opened.push({ close: async () => own.close() })
            const producing = await own.openProducer()
            opened.push(producing)
            return producing
          }
          return {
            call: (operation) =>
              awaited(operation, async (id) => {
                const value = Buffer.from('read, please')
                const headers = carriers.map((carrier) => headerOf(carrier, (facts) => envelope(facts, topicOf(operation), String(value))))
                await (
                  await (native ??= connected())
                ).send([{ topic: topicOf(operation), key: undefined, value, headers: [[callId, Buffer.from(id)], ...headers] }])
              }),
          }
        },
        client: async ({ source, tls, plaintextPort }) => {
          // What the kit's source yields says who signs; its signature is made here, as `messageSigner` does.
          const identity: BoundSource = async ({ target, binding }) => {
            const { credential } = await source({ target })
            const token = credentialOf([credential], 'bearer')?.token.reveal() ?? ''
            const { sub, exp } = JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString()) as { sub: string; exp: number }
            const facts = { subject: sub, expiresInSeconds: exp - Math.floor(current.clock.now() / 1000) }
            return { credential: { kind: 'envelope', carrier: 'message', envelope: envelope(facts, binding.uri.slice(6), 'read, please') } }
          }
          const own = await open({
            ...password,
            ...(plaintextPort !== undefined && { brokers: [`localhost:${plaintextPort}`] }),
            ...(by === 'kitTrust' && { tls }),
            ...(by === 'otherName' && { serverName: 'other.example' }),
          })
          opened.push({ close: async () => own.close() })
          const sending = await producer({ client: own, identity, maxAttempts: 1 })
          opened.push(sending)
          return {
            call: (operation) =>
              awaited(operation, (id) => sending.send({ topic: topicOf(operation), value: 'read, please', headers: { [callId]: id } })),
          }
        },
        async close() {
          const running = await Promise.allSettled([...consumers.values(), ...(dying ? [dying] : [])])
          await Promise.all(running.map((one) => (one.status === 'fulfilled' ? one.value.close() : undefined)))
          await Promise.allSettled(opened.toReversed().map((one) => one.close()))
          kafka.close()
        },
      }
    },
    unsupported: {
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

function headerOf({ credential, facts, text, place }: Carrier, sign: (facts: TokenFacts) => string): readonly [string, Buffer] {
  const name = place === 'second' ? 'Portcullis-Identity' : 'portcullis-identity'
  // What is bound to a key is an access token and no message's signature, so it is sent as the token that it is.
  const access = facts?.confirmation !== undefined && credential?.kind === 'bearer' ? credential.token.reveal() : undefined
  return [name, Buffer.from(access ?? (facts === undefined ? text : sign(facts)))]
}

const [[, preferred]] = libraries
await describeConformance('kafka', harnessOf(preferred))
