import { once } from 'node:events'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Ran, runForeign } from './foreign.ts'
import { type Issuer, createIssuer } from './issuer.ts'
import { type Kafka, startKafka } from './kafka.ts'
import { pathOf } from './locate.ts'
import { type Identity, type Pki, createPki } from './pki.ts'

const users = { alice: 'alice-secret' }

function kcat(kafka: Kafka, settings: Readonly<Record<string, string>>, args: readonly string[], input?: string): Promise<Ran> {
  const all = { 'ssl.ca.location': kafka.pki.ca.certificateFile, 'broker.address.family': 'v4', 'message.timeout.ms': '4000', ...settings }
  const flags = Object.entries(all).flatMap(([key, value]) => ['-X', `${key}=${value}`])
  const bootstrap = settings['security.protocol'] === 'SSL' ? kafka.mtlsBootstrap : kafka.saslBootstrap
  return runForeign('kcat', 'kcat', ['-b', bootstrap, ...flags, ...args], { ...(input !== undefined && { input }) })
}

const sasl = (mechanism: string, username = 'alice', password = 'alice-secret'): Record<string, string> => ({
  'security.protocol': 'SASL_SSL',
  'sasl.mechanism': mechanism,
  'sasl.username': username,
  'sasl.password': password,
})

const mtls = (who: Identity): Record<string, string> => ({
  'security.protocol': 'SSL',
  'ssl.certificate.location': who.certificateFile,
  'ssl.key.location': who.keyFile,
})

/** What kafka-python says when the broker does not let it in: at once, or after its own three seconds. */
const refusal = /^(SaslAuthenticationFailed|KafkaTimeout|NoBrokersAvailable)/

function python(kafka: Kafka, topic: string, settings: Readonly<Record<string, unknown>>): Promise<Ran> {
  const options = {
    modules: pathOf('kafka-python', 'modules'),
    topic,
    text: 'from python',
    bootstrap_servers: kafka.saslBootstrap,
    security_protocol: 'SASL_SSL',
    ssl_cafile: kafka.pki.ca.certificateFile,
    ...settings,
  }
  return runForeign(
    'kafka-python',
    'python',
    [path.resolve(import.meta.dirname, '../clients/kafka_roundtrip.py'), JSON.stringify(options)],
    { withinMs: 30_000 },
  )
}

describe('Kafka 4', () => {
  let kafka: Kafka
  let issuer: Issuer
  let pki: Pki
  let topic: string
  const keys = createServer()

  beforeAll(async () => {
    pki = createPki()
    issuer = createIssuer()
    keys.setSecureContext({ cert: pki.server.certificate, key: pki.server.key })
    keys.on('request', (_request, response) => response.setHeader('content-type', 'application/json').end(JSON.stringify(issuer.jwks)))
    keys.listen(0, '127.0.0.1')
    await once(keys, 'listening')
    const jwks = `https://localhost:${(keys.address() as AddressInfo).port}/jwks`
    kafka = await startKafka({ pki, users, maxReauthMs: 60_000, oauth: { jwks, issuer: issuer.issuer, audience: 'kafka' } })
    topic = `${await kafka.namespace('alice', 'service')}orders`
  }, 120_000)
  afterAll(async () => {
    keys.close()
    await kafka[Symbol.asyncDispose]()
  }, 30_000)

  test('PLAIN by kcat: there and back; a wrong password and a forbidden topic are refused', async () => {
    expect((await kcat(kafka, sasl('PLAIN'), ['-P', '-t', topic], 'from kcat')).said).toBe('')
    expect((await kcat(kafka, sasl('PLAIN'), ['-C', '-e', '-q', '-o', 'beginning', '-t', topic])).output.trim()).toBe('from kcat')
    expect((await kcat(kafka, sasl('PLAIN', 'alice', 'wrong'), ['-P', '-t', topic], 'x')).said).toContain('Invalid username or password')
    expect((await kcat(kafka, sasl('PLAIN'), ['-P', '-t', 'other'], 'x')).said).toContain('Topic authorization failed')
  })

  test.for(['SCRAM-SHA-256', 'SCRAM-SHA-512'])(
    '%s by kafka-python: there and back; a wrong password is refused',
    { timeout: 60_000 },
    async (mechanism) => {
      const settings = { sasl_mechanism: mechanism, sasl_plain_username: 'alice', sasl_plain_password: 'alice-secret' }
      expect((await python(kafka, topic, settings)).said.trim()).toBe('from python')
      expect((await python(kafka, topic, { ...settings, sasl_plain_password: 'wrong' })).said).toMatch(refusal)
      expect(kafka.log()).toContain(`invalid credentials with SASL mechanism ${mechanism}`)
    },
  )

  test('OAUTHBEARER by kafka-python: keys over HTTPS; expired, for somebody else or signed by somebody else it is refused', async () => {
    const by = (token: string): Promise<Ran> => python(kafka, topic, { sasl_mechanism: 'OAUTHBEARER', token })
    const claims = { sub: 'service', aud: 'kafka' }
    expect((await by(issuer.token(claims))).said.trim()).toBe('from python')
    const refused = [issuer.token({ ...claims, exp: 1 }), issuer.token({ ...claims, aud: 'other' }), createIssuer().token(claims)]
    for (const ran of await Promise.all(refused.map((token) => by(token)))) expect(ran.said).toMatch(refusal)
    // Each for its own reason: a refusal that came for another would prove nothing.
    for (const reason of ['Audience (aud) claim [other]', 'no longer valid', 'signature']) expect(kafka.log()).toContain(reason)
  }, 60_000)

  test('a client certificate by kcat: its name is the principal; a foreign one and none are refused', async () => {
    expect((await kcat(kafka, mtls(pki.issue({ name: 'alice' })), ['-P', '-t', topic], 'by certificate')).said).toBe('')
    expect((await kcat(kafka, mtls(pki.issue({ name: 'mallory' })), ['-P', '-t', topic], 'x')).said).toContain('Topic authorization failed')
    expect((await kcat(kafka, mtls(createPki().issue({ name: 'alice' })), ['-L', '-m', '1'])).said).toMatch(
      /SSL handshake failed|certificate/,
    )
    expect((await kcat(kafka, { 'security.protocol': 'SSL' }, ['-L', '-m', '1'])).said).toMatch(/SSL handshake failed|certificate/)
    expect(kafka.log()).toContain('Failed authentication')
  }, 30_000)

  test('a rule for one operation allows that one', async () => {
    const only = `${topic}-written`
    await kafka.allow([
      { principal: 'alice', resource: 'topic', name: only, operation: 'write' },
      { principal: 'alice', resource: 'topic', name: only, operation: 'create' },
    ])
    expect((await kcat(kafka, sasl('PLAIN'), ['-P', '-t', only], 'x')).said).toBe('')
    await kafka.allow([{ principal: 'alice', resource: 'topic', name: only, operation: 'read', deny: true }])
    expect((await kcat(kafka, sasl('PLAIN'), ['-C', '-e', '-q', '-t', only])).said).toContain('authorization')
  })
})

test('Kafka 3.9 starts too, and there kcat knows SCRAM', async () => {
  const issuer = createIssuer()
  await using kafka = await startKafka({ version: 3, users, oauth: { jwks: issuer.jwksFile, issuer: issuer.issuer, audience: 'kafka' } })
  const topic = `${await kafka.namespace('alice', 'service')}orders`
  expect(kafka.version).toMatch(/^3\.9\./)
  expect((await kcat(kafka, sasl('SCRAM-SHA-512'), ['-P', '-t', topic], 'from kcat')).said).toBe('')
  expect((await kcat(kafka, sasl('SCRAM-SHA-512', 'alice', 'wrong'), ['-P', '-t', topic], 'x')).said).toContain('invalid credentials')
  expect(
    (await python(kafka, topic, { sasl_mechanism: 'OAUTHBEARER', token: issuer.token({ sub: 'service', aud: 'kafka' }) })).said.trim(),
  ).toBe('from python')
}, 120_000)
