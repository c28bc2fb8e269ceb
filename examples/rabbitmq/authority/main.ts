import { generateKeyPairSync } from 'node:crypto'
import { once } from 'node:events'
import { request } from 'node:https'
import { setTimeout as wait } from 'node:timers/promises'
import { basic, basicCredentials, memoryUserStore } from '@portcullis/auth'
import { secret } from '@portcullis/core'
import { hashPassword } from '@portcullis/crypto'
import { createIssuer, jwt } from '@portcullis/jwt'
import { anyOf, client, guard, type ClientOptions } from '@portcullis/rabbitmq'
import { authority } from '@portcullis/rabbitmq/authority'
import { clientCertificate, tlsBundle } from '@portcullis/tls'
import { createPki, startRabbitmq } from '@portcullis/test-servers'
import type { Channel } from 'amqplib'
import { show } from '../../show.ts'

// Who may log in: Tom by his password, services by a token.
const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
const sts = createIssuer({ issuer: 'https://sts.example', audience: 'rabbitmq', key: { privateKey, keyId: 'a' }, expiresInSeconds: 3 })
const scopes = ['rabbitmq.configure:%2F/orders.*', 'rabbitmq.read:%2F/orders.*']
const toms = memoryUserStore({ name: 'staff', users: [{ username: 'tom', password: await hashPassword('word'), scopes }] })
const users = guard({
  authenticate: anyOf(
    basic({ store: toms, realm: 'rabbitmq' }),
    jwt({ issuer: 'https://sts.example', audience: 'rabbitmq', keys: { jwks: sts.jwks() } }),
  ),
})

// Who may ask: the one certificate of the broker.
const pki = createPki()
const tls = await tlsBundle({
  side: 'server',
  identity: { key: { pem: pki.server.key }, certificates: { pem: pki.server.certificate } },
  clientCertificates: { require: { operations: { pem: pki.ca.certificate } } },
})
const asking = guard({
  authenticate: clientCertificate({ tls, issuers: { operations: { by: 'commonName', principals: { localhost: [] } } } }),
})
await using endpoints = await authority({
  guard: users,
  credential: ({ username }) => (username === 'tom' ? 'basic' : 'bearer'),
  broker: { tls, guard: asking, host: 'localhost' },
  port: 0,
})
const at = (call: string): string => `https://localhost:${endpoints.port}/${call}`
await using broker = await startRabbitmq({
  pki,
  http: { user: at('user'), vhost: at('vhost'), resource: at('resource'), topic: at('topic') },
})

const url = `amqps://localhost:${broker.port}`
const trusted = { url, tls: { side: 'client', trust: { pem: pki.ca.certificate } } } as const
const tom = (password: string): ClientOptions => ({
  ...trusted,
  credentials: basicCredentials({ username: 'tom', password, targets: [url] }),
})
const service = async (name: string, subject = name): Promise<ClientOptions> => {
  const token = await sts.issue({ subject, claims: { scope: scopes.join(' ') } })
  return { ...trusted, username: name, credentials: () => ({ credential: { kind: 'bearer', carrier: 'sasl', token: secret(token) } }) }
}

/** Logs in and takes some steps, each on a channel of its own; tells what came of each. */
async function attempt(options: ClientOptions, ...steps: readonly ((channel: Channel) => Promise<unknown>)[]): Promise<readonly unknown[]> {
  const rabbitmq = await client(options)
  const results: unknown[] = []
  try {
    const model = await rabbitmq.open()
    results.push('in')
    for (const step of steps) {
      const channel = await model.createChannel()
      channel.on('error', () => undefined)
      results.push(
        await step(channel).then(
          () => 'allowed',
          (error: { code: unknown }) => error.code,
        ),
      )
    }
    await model.close()
  } catch (error) {
    results.push((error as { code: unknown }).code)
  } finally {
    rabbitmq.close()
  }
  return results
}
const declare = (queue: string) => (channel: Channel) => channel.assertQueue(queue, { exclusive: true })
const later = (queue: string) => async (channel: Channel) => {
  await wait(4_000)
  return declare(queue)(channel)
}

show('a password, and the rights of its scopes', await attempt(tom('word'), declare('orders.new'), declare('refunds')), [
  'in',
  'allowed',
  403,
])
show('a guess', await attempt(tom('guess')), ['ERR_RABBITMQ_CREDENTIAL_REFUSED'])
show('a token, until it has expired', await attempt(await service('shop'), declare('orders.a'), later('orders.b')), ['in', 'allowed', 403])
show('a token of somebody else', await attempt(await service('shop', 'mallory')), ['ERR_RABBITMQ_CREDENTIAL_REFUSED'])
// Trusted, and without a certificate of its own.
const stranger = request(at('user'), {
  method: 'POST',
  ca: pki.ca.certificate,
  headers: { 'content-type': 'application/x-www-form-urlencoded' },
})
const answer = once(stranger, 'response').then(
  () => 'answered',
  () => 'no answer',
)
stranger.end('username=tom&password=word')
show('a caller who is not the broker', await answer, 'no answer')
tls.close()
