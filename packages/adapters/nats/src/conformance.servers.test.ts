import { createHash, randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { connect as connectTcp } from 'node:net'
import { credentialOf, isSecurityError, secret, type BoundSource } from '@portcullis/core'
import { envelopeType, signedMessages } from '@portcullis/message'
import { startNats } from '@portcullis/test-servers'
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
import type { MsgHdrs, NatsConnection } from '@nats-io/transport-node'
import { anyReply, withoutIdentity } from './danger.ts'
import { publisher, subscriber, type ClientOptions } from './index.ts'
import { nativeHeaders } from './message.ts'
import { Scene } from './nats.test-support.ts'

// The scenarios' tokens live five minutes, and so do the messages here.
const maxAgeSeconds = 300
// By then an answer would have come; a message that waits to be judged brings none.
const silenceMs = 1_000
const asked = 'read, please'

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

const relayed = 'a server stands between: whose certificate it saw is no fact of the message'
const noCertificate: Unsupported = { because: relayed, observed: 'challenged' }
const byBroker = (given: Given): Unsupported => ({
  because: `${relayed}; the server refuses it`,
  observed: 'closed',
  attempt: reaching('certificate', given),
})
const noWords: Unsupported = {
  because: 'an answer of NATS has a status and no challenge, and the identity of a refused message is not sent again',
  observed: 'challenged',
  attempt: (stage) => stage.attempt({ presents: [] }),
}
const notLive: Unsupported = {
  because: 'each message is judged on its own; there is no connection between publisher and subscriber that could end or be renewed',
  observed: 'challenged',
  attempt: (stage) => stage.attempt({ presents: [{ token: { expiresInSeconds: -60 } }] }),
}
const noProof: Unsupported = {
  because: 'RFC 9449 section 4.2: a proof names an HTTP method and URI; the signature of a message covers the message itself',
  observed: 'challenged',
  attempt: (stage) => stage.attempt({ presents: [{ raw: 'DPoP token' }] }),
}

const outcomes: Readonly<Record<string, Outcome>> = { 400: 'challenged', 401: 'challenged', 403: 'forbidden' }

/** Which rights a signer has stands with the consumer, by issuer; so each set of scopes is a signer of its own. */
function issuerFor(issuer: TestIssuer, { scopes = ['orders:read'], issuer: named = issuer.issuer }: TokenFacts): string {
  return scopes.join(' ') === 'orders:read' ? named : `${named}/${scopes.join('+')}`
}

function harness(): Harness {
  let current: TestIssuer
  const envelope = (facts: TokenFacts, subjectOf: string, payload: string): string => {
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
      dst: `nats:${subjectOf}`,
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
          const way = by
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
              const headers = nativeHeaders(
                carriers.map((carrier) => headerOf(carrier, (facts) => envelope(facts, subjectOf(operation), asked))),
              )
              return await observed(connection, subjectOf(operation), headers)
            },
            close: () => native?.then((one) => one.close()).catch(() => undefined),
          }
        },
        client: async ({ source, tls, plaintextPort }) => {
          // What the kit's source yields says who signs; its signature is made here, as `messageSigner` does.
          const identity: BoundSource = async ({ target, binding }) => {
            const { credential } = await source({ target })
            const token = credentialOf([credential], 'bearer')?.token.reveal() ?? ''
            const { sub, exp } = JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString()) as { sub: string; exp: number }
            const facts = { subject: sub, expiresInSeconds: exp - Math.floor(current.clock.now() / 1000) }
            const { message, uri } = binding
            return {
              credential: {
                kind: 'envelope',
                carrier: 'message',
                envelope: envelope({ ...facts, claims: { jti: message?.id } }, uri.slice(5), asked),
              },
            }
          }
          const own = await at.open({
            timeoutMs: 800,
            ...(plaintextPort !== undefined && {
              servers: `tls://localhost:${plaintextPort}`,
              credentials: () => ({ credential: { kind: 'nkey', carrier: 'connect', seed: secret('SUNUSED') } }),
            }),
            ...(by === 'kitTrust' && { tls }),
            ...(by === 'otherName' && { serverName: 'other.example' }),
          })
          // Whether it is let in at all, without the attempts of one that waits for its server.
          await (await own.open()).close()
          const asking = await publisher({ client: own, identity, replies: anyReply })
          opened.push(asking)
          return {
            async call(operation) {
              try {
                const { message } = await asking.request({ subject: subjectOf(operation), content: asked }, { timeoutMs: silenceMs })
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
        because: "the server's certificate is exchanged at the server, and no part of this adapter serves one",
        observed: 'closed',
        attempt: reaching('kitTrust', {}),
      },
      'client.certificate': noCertificate,
      'client.untrustedServer': {
        because: "the server has a certificate of its own and not the kit's; a client that trusts the kit's authority alone refuses it",
        observed: 'clientRefused',
        attempt: reaching('kitTrust', { by: 'client' }),
      },
      'client.wrongHostName': {
        because: "the server has a certificate of its own and not the kit's; a client that expects another name refuses it",
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

async function observed(connection: NatsConnection, subject: string, headers: MsgHdrs): Promise<Observed> {
  try {
    const { data, headers: said } = await connection.request(subject, asked, { headers, timeout: silenceMs })
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

function headerOf({ credential, facts, text, place }: Carrier, sign: (facts: TokenFacts) => string): readonly [string, string] {
  const name = place === 'second' ? 'Portcullis-Identity' : 'portcullis-identity'
  // What is bound to a key is an access token and no message's signature, so it is sent as the token that it is.
  const access = facts?.confirmation !== undefined && credential?.kind === 'bearer' ? credential.token.reveal() : undefined
  return [name, access ?? (facts === undefined ? text : sign(facts))]
}

await describeConformance('nats', harness())
