import { generateKeyPairSync } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { setTimeout as wait } from 'node:timers/promises'
import { jetstreamManager } from '@nats-io/jetstream'
import { secret, type CredentialSource } from '@portcullis/core'
import { messageSigner, signedMessages } from '@portcullis/message'
import { client } from '@portcullis/nats'
import { startNats } from '@portcullis/test-servers'
import { tlsBundle } from '@portcullis/tls'

const audience = 'urn:warehouse'

/** A server that demands a client certificate and a password, both of which can be exchanged while it serves. `lifeMs` is how long a password is said to be good for. */
export async function natsScene({ lifeMs }: { readonly lifeMs?: number } = {}) {
  // The old password is good for one rotation longer, as in production.
  const passwords: [string, string] = ['p0', 'p0']
  const configOf = (): string =>
    `authorization { users = [ ${passwords.map((password, at) => `{ user: u${at}, password: "${password}" }`).join(', ')} ] }`
  const server = await startNats({ jetstream: true, clientCertificate: 'verify', config: configOf() })
  const { pki } = server
  const own = pki.issue({ name: 'client' })
  const bundle = await tlsBundle({
    side: 'client',
    trust: { pemFile: pki.ca.certificateFile },
    identity: { key: { pemFile: own.keyFile }, certificates: { pemFile: own.certificateFile } },
    checkFilesEveryMs: 'off',
  })
  const origin = `tls://localhost:${server.port}`
  const used = new Set<string>()
  let round = 0
  let generation = 0
  const credentials: CredentialSource = () => {
    const password = passwords[round % 2] ?? ''
    used.add(password)
    return {
      credential: { kind: 'basic', carrier: 'connect', username: `u${round % 2}`, password: secret(password) },
      ...(lifeMs !== undefined && { expiresAt: new Date(Date.now() + lifeMs) }),
    }
  }
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const nats = await client({ servers: origin, tls: bundle, credentials })
  return {
    nats,
    credentials: () => used.size,
    identity: messageSigner({ issuer: 'urn:shop', key: { privateKey }, audience, targets: [origin] }),
    signatures: (verifyOn: 'threadPool' | 'eventLoop' = 'threadPool') =>
      signedMessages({
        audience,
        signers: [{ issuer: 'urn:shop', keys: { publicKey }, scopes: ['orders:publish'] }],
        maxAgeMs: 86_400_000,
        verifyOn,
      }),
    /** A stream of this name for the subject of the same name, with a durable consumer `worker`. */
    async stream(name: string): Promise<void> {
      const connection = await nats.open()
      const manager = await jetstreamManager(connection)
      await manager.streams.add({ name, subjects: [name] })
      await manager.consumers.add(name, { durable_name: 'worker', ack_policy: 'explicit', ack_wait: 5_000_000_000 })
      await connection.close()
    },
    rotateCredential: async (): Promise<void> => {
      round++
      passwords[round % 2] = `p${round}`
      await server.reload(configOf())
      await wait(lifeMs ?? 0)
    },
    /** New certificates on both ends. */
    rotateCertificates: async (): Promise<void> => {
      generation++
      const hosts = { dns: ['localhost'], ip: ['127.0.0.1'] }
      for (const [old, next] of [
        [own, pki.issue({ name: `client-${generation}` })],
        [pki.server, pki.issue({ name: `server-${generation}`, ...hosts })],
      ] as const) {
        writeFileSync(old.keyFile, next.key)
        writeFileSync(old.certificateFile, next.certificate)
      }
      await server.reload(configOf())
      await bundle.reload()
    },
    restart: (): Promise<void> => server.restart(),
    async close(): Promise<void> {
      nats.close()
      bundle.close()
      await server[Symbol.asyncDispose]()
    },
  }
}
