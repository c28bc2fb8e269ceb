import { once } from 'node:events'
import { createServer, type AddressInfo } from 'node:net'
import { inspect } from 'node:util'
import { createIssuer, createPki, freePort } from '@portcullis/test-servers'
import type { CredentialSource, SecurityError } from '@portcullis/core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { ClientOptions } from './client-options.ts'
import { plaintext } from './danger.ts'
import { consumer, producer } from './index.ts'
import { broker, guarded, libraries, signer, tokens, user, type TestBroker } from './kafka.test-support.ts'

let at: TestBroker
let prefix: string
beforeAll(async () => {
  at = await broker()
  prefix = await at.kafka.namespace('alice', 'service')
  await at.topics([`${prefix}orders`])
}, 120_000)
afterAll(() => at.close(), 30_000)

describe.each(libraries)('%s', (_, client) => {
  const alice = { mechanism: 'PLAIN', source: user('alice', 'alice-secret') } as const
  /** What a producer that is opened and sends comes to. */
  const failure = async (options: Partial<ClientOptions>, topic = `${prefix}orders`): Promise<SecurityError> => {
    const kafka = await client({ brokers: at.brokers, tls: at.tls, connectTimeoutMs: 3_000, ...options })
    try {
      const opened = await producer({ client: kafka, identity: signer(at.origin, undefined, [kafka.origin]), maxAttempts: 2 })
      try {
        await opened.send({ topic, value: 'x' })
      } finally {
        await opened.close()
      }
    } catch (error) {
      return error as SecurityError
    } finally {
      kafka.close()
    }
    throw new Error('nothing failed')
  }

  it.each(['PLAIN', 'SCRAM-SHA-256', 'SCRAM-SHA-512'] as const)('%s: a wrong password is refused, once', async (mechanism) => {
    const refusals = () => at.kafka.log().match(/Failed authentication/g)?.length ?? 0
    const before = refusals()
    const error = await failure({ sasl: { mechanism, source: user('alice', 'wrong-secret') } })
    // The library tries again, on a connection on which the same password is not sent.
    expect(refusals() - before).toBe(1)
    expect(error).toMatchObject({ family: 'authentication', code: 'ERR_KAFKA_CREDENTIAL_REFUSED' })
    expect(inspect(error, { depth: 20, showHidden: true })).not.toContain('wrong-secret')
  })

  it.each([
    ['expired', () => at.issuer.token({ sub: 'service', aud: 'kafka', exp: 1 })],
    ['for somebody else', () => at.issuer.token({ sub: 'service', aud: 'other' })],
    ['of an unknown issuer', () => createIssuer().token({ sub: 'service', aud: 'kafka' })],
  ])('OAUTHBEARER: a token that is %s is refused', async (_kind, token) => {
    const text = token()
    const error = await failure({ sasl: { mechanism: 'OAUTHBEARER', source: tokens(() => text) } })
    expect(error).toMatchObject({ family: 'authentication', code: 'ERR_KAFKA_CREDENTIAL_REFUSED' })
    expect(inspect(error, { depth: 20, showHidden: true })).not.toContain(text)
  })

  it('trusts no authority but its own, and no certificate of another name', async () => {
    const foreign = { side: 'client', trust: { pemFile: createPki().ca.certificateFile } } as const
    expect(await failure({ sasl: alice, tls: foreign })).toMatchObject({ family: 'authentication', code: 'ERR_KAFKA_BROKER_UNTRUSTED' })
    expect(await failure({ sasl: alice, serverName: 'other.example' })).toMatchObject({
      family: 'authentication',
      code: 'ERR_KAFKA_HOST_NAME',
    })
  })

  it('a client certificate: alice may, none and a foreign one are refused', async () => {
    const brokers = [at.kafka.mtlsBootstrap] as const
    const identity = (pki: ReturnType<typeof createPki>) => {
      const { certificateFile, keyFile } = pki.issue({ name: 'alice' })
      return { ...at.tls, identity: { key: { pemFile: keyFile }, certificates: { pemFile: certificateFile } } }
    }
    await expect(failure({ brokers, tls: identity(at.kafka.pki) }, `${prefix}orders`)).rejects.toThrow('nothing failed')
    expect(await failure({ brokers })).toMatchObject({ code: 'ERR_KAFKA_CERTIFICATE_REFUSED' })
    expect(await failure({ brokers, tls: identity(createPki()) })).toMatchObject({ code: 'ERR_KAFKA_CERTIFICATE_REFUSED' })
  })

  it('tells that one end speaks TLS and the other does not', async () => {
    expect(await failure({ tls: plaintext })).toMatchObject({ code: 'ERR_KAFKA_TLS_MISMATCH' })
    // A broker without TLS reads a length of 350 megabytes, and closes.
    const plain = createServer((socket) => void socket.once('data', () => socket.destroy()).on('error', () => undefined)).listen(
      0,
      '127.0.0.1',
    )
    await once(plain, 'listening')
    const brokers = [`localhost:${(plain.address() as AddressInfo).port}`] as const
    expect(await failure({ brokers, sasl: alice })).toMatchObject({ code: 'ERR_KAFKA_TLS_MISMATCH' })
    plain.close()
  })

  it('tells a missing permission, and a missing topic', async () => {
    const bob = { mechanism: 'PLAIN', source: user('bob', 'bob-secret') } as const
    expect(await failure({ sasl: bob })).toMatchObject({ family: 'authorization', code: 'ERR_KAFKA_FORBIDDEN' })
    expect(await failure({ sasl: alice }, `${prefix}nowhere`)).toMatchObject({ family: 'configuration', code: 'ERR_KAFKA_TOPIC' })
    const kafka = await client({ brokers: at.brokers, tls: at.tls, sasl: bob })
    const { guard } = guarded()
    const reading = consumer({ client: kafka, group: 'bobs', topics: [`${prefix}orders`], guard, deadLetter: 'dead' }, () => undefined)
    const ended = reading.then((running) => running.ended)
    await expect(ended).rejects.toMatchObject({ code: 'ERR_KAFKA_FORBIDDEN' })
  }, 30_000)

  it('tells that no broker answers, after some attempts', async () => {
    const brokers = [`localhost:${await freePort()}`] as const
    expect(await failure({ brokers, sasl: alice })).toMatchObject({ family: 'unavailable', code: 'ERR_KAFKA_UNAVAILABLE' })
  })

  it('tells what the source says', async () => {
    const source: CredentialSource = ({ target }) => {
      throw Object.assign(new Error(target.origin), { code: 'MINE' })
    }
    const error = await failure({ sasl: { mechanism: 'PLAIN', source } })
    expect(inspect(error, { depth: 20 })).toContain('MINE')
    const bearer = tokens(() => 'x')
    expect(await failure({ sasl: { mechanism: 'PLAIN', source: bearer } })).toMatchObject({ code: 'ERR_KAFKA_CREDENTIAL' })
  })
})
