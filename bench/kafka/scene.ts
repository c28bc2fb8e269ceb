import { generateKeyPairSync } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { Admin } from '@platformatic/kafka'
import { secret, type CredentialSource } from '@portcullis/core'
import { client as kafkajs } from '@portcullis/kafka/kafkajs'
import { client as platformatic, sasl, ssl } from '@portcullis/kafka/platformatic'
import { messageSigner, signedMessages } from '@portcullis/message'
import { createIssuer, createPki, startKafka } from '@portcullis/test-servers'
import { tlsBundle } from '@portcullis/tls'

/** The libraries that can be measured, by name. */
export const clients = { platformatic, kafkajs } as const
export type Library = keyof typeof clients

const audience = 'urn:warehouse'

/** A broker that demands a client certificate and a token, and what both can be exchanged for while it serves. */
export async function kafkaScene({ sessionMs }: { readonly sessionMs?: number } = {}) {
  const directory = mkdtempSync(path.join(tmpdir(), 'kafka-scene-'))
  const [pki, issuer] = [createPki(), createIssuer()]
  const keystore = path.join(directory, 'broker.pem')
  const identityFile = path.join(directory, 'client.pem')
  const hosts = { dns: ['localhost'], ip: ['127.0.0.1'] }
  // A certificate is kept under its name, so each generation needs one of its own; the broker's stays that of a super user.
  const brokerPair = (generation: number) => pki.issue({ name: `broker-${generation}`, ...hosts })
  const writePair = (file: string, { key, certificate }: { readonly key: string; readonly certificate: string }): void =>
    writeFileSync(file, key + certificate, { mode: 0o600 })
  let generation = 0
  const writeAll = (): void => {
    writePair(keystore, brokerPair(generation))
    writePair(identityFile, pki.issue({ name: `client-${generation}` }))
  }
  writeAll()
  const kafka = await startKafka({
    pki,
    users: {},
    oauth: { jwks: issuer.jwksFile, issuer: issuer.issuer, audience: 'kafka' },
    ...(sessionMs !== undefined && { maxReauthMs: sessionMs }),
    properties: {
      'ssl.keystore.location': keystore,
      'listener.name.sasl.ssl.client.auth': 'required',
      'super.users': ['admin', 'broker', 'service', ...Array.from({ length: 20 }, (_, n) => `broker-${n}`)]
        .map((name) => `User:${name}`)
        .join(';'),
      'auto.create.topics.enable': 'false',
    },
  })
  const tls = await tlsBundle({
    side: 'client',
    trust: { pemFile: pki.ca.certificateFile },
    identity: { pemFile: identityFile },
    checkFilesEveryMs: 'off',
  })
  const brokers = [kafka.saslBootstrap] as const
  const origin = `kafka://${kafka.saslBootstrap}`
  let token = issuer.token({ sub: 'service', aud: 'kafka', exp: Math.floor(Date.now() / 1000) + 86_400 })
  const used = new Set<string>()
  const source: CredentialSource = () => {
    used.add(token)
    return { credential: { kind: 'bearer', carrier: 'sasl', token: secret(token) } }
  }
  const presenting = { mechanism: 'OAUTHBEARER', source } as const
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  return {
    kafka,
    tls,
    brokers,
    origin,
    source,
    /** How many credentials were presented so far. */
    credentials: () => used.size,
    open: (library: Library) => clients[library]({ brokers, tls, sasl: presenting, ...(sessionMs !== undefined && { sessionMs }) }),
    identity: messageSigner({ issuer: 'urn:shop', key: { privateKey }, audience, targets: [origin] }),
    signatures: (verifyOn: 'threadPool' | 'eventLoop' = 'threadPool') =>
      signedMessages({
        audience,
        signers: [{ issuer: 'urn:shop', keys: { publicKey }, scopes: ['orders:publish'] }],
        maxAgeMs: 86_400_000,
        verifyOn,
      }),
    async topics(names: readonly string[], partitions = 1): Promise<void> {
      const admin = new Admin({ clientId: 'admin', bootstrapBrokers: [...brokers], ...ssl(tls), ...sasl({ ...presenting, origin }) })
      await admin.createTopics({
        topics: [...names],
        partitions,
        replicas: 1,
        configs: [{ name: 'message.timestamp.type', value: 'LogAppendTime' }],
      })
      await admin.close()
    },
    rotateCredential(): void {
      token = issuer.token({ sub: 'service', aud: 'kafka', exp: Math.floor(Date.now() / 1000) + 86_400 })
    },
    /** New certificates on both ends. The broker reads its own when it starts, so it is also away for some seconds. */
    async rotateCertificates(): Promise<void> {
      generation++
      writeAll()
      await tls.reload()
      await kafka.stop()
      await kafka.restart()
    },
    async close(): Promise<void> {
      tls.close()
      await kafka[Symbol.asyncDispose]()
      rmSync(directory, { recursive: true, force: true })
    },
  }
}
