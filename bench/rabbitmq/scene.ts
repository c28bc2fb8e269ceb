import { generateKeyPairSync } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { setTimeout as wait } from 'node:timers/promises'
import { secret, type CredentialSource } from '@portcullis/core'
import { messageSigner, signedMessages } from '@portcullis/message'
import { client } from '@portcullis/rabbitmq'
import { createIssuer, startRabbitmq } from '@portcullis/test-servers'
import { tlsBundle } from '@portcullis/tls'

const audience = 'urn:warehouse'
const scope = 'rabbitmq.read:*/* rabbitmq.write:*/* rabbitmq.configure:*/*'
const shortLifeSeconds = 3

/** A broker that takes access tokens, and what they and the certificates can be exchanged for while it serves. */
export async function rabbitmqScene({ renewing = false }: { readonly renewing?: boolean } = {}) {
  const issuer = createIssuer()
  const broker = await startRabbitmq({ oauth2: { resourceServerId: 'rabbitmq', signingKeys: { [issuer.kid]: issuer.publicKey } } })
  const { pki } = broker
  const own = pki.issue({ name: 'client' })
  const bundle = await tlsBundle({
    side: 'client',
    trust: { pemFile: pki.ca.certificateFile },
    identity: { key: { pemFile: own.keyFile }, certificates: { pemFile: own.certificateFile } },
    checkFilesEveryMs: 'off',
  })
  const origin = `amqps://localhost:${broker.port}`
  const used = new Set<string>()
  const credentials: CredentialSource = () => {
    const exp = Math.floor(Date.now() / 1_000) + (renewing ? shortLifeSeconds : 3_600)
    const token = issuer.token({ aud: 'rabbitmq', scope, exp })
    used.add(token)
    return { credential: { kind: 'bearer', carrier: 'sasl', token: secret(token) }, expiresAt: new Date(exp * 1_000) }
  }
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const rabbitmq = await client({ url: origin, tls: bundle, credentials })
  let generation = 0
  return {
    rabbitmq,
    credentials: () => used.size,
    identity: messageSigner({ issuer: 'urn:shop', key: { privateKey }, audience, targets: [origin] }),
    signatures: (verifyOn: 'threadPool' | 'eventLoop' = 'threadPool') =>
      signedMessages({
        audience,
        signers: [{ issuer: 'urn:shop', keys: { publicKey }, scopes: ['orders:publish'] }],
        maxAgeMs: 86_400_000,
        verifyOn,
      }),
    queue: async (name: string): Promise<void> => {
      await broker.manage('PUT', `/api/queues/%2F/${name}`, { durable: true })
    },
    /** The life of a token: each connection has renewed it in place by then. */
    rotateCredential: async (): Promise<void> => {
      await wait(shortLifeSeconds * 1_000)
    },
    /** New certificates on both ends. The broker reads its own when it starts, so it is also away for some seconds. */
    rotateCertificates: async (): Promise<void> => {
      generation++
      const hosts = { dns: ['localhost'], ip: ['127.0.0.1', '::1'] }
      for (const [old, next] of [
        [own, pki.issue({ name: `client-${generation}` })],
        [pki.server, pki.issue({ name: `server-${generation}`, ...hosts })],
      ] as const) {
        writeFileSync(old.keyFile, next.key)
        writeFileSync(old.certificateFile, next.certificate)
      }
      await bundle.reload()
      await broker.stop()
      await broker.restart()
    },
    async close(): Promise<void> {
      rabbitmq.close()
      bundle.close()
      await broker[Symbol.asyncDispose]()
    },
  }
}
