import { generateKeyPairSync, type KeyObject } from 'node:crypto'
import {
  forTargets,
  secret,
  UnavailableError,
  type AuditEvent,
  type BoundSource,
  type CredentialSource,
  type Guard,
  type Principal,
} from '@portcullis/core'
import { messageSigner, signedMessages } from '@portcullis/message'
import type { Nats } from '@portcullis/test-servers'
import { jetstreamManager } from '@nats-io/jetstream'
import { client, guard, scope, type ClientOptions, type NatsClient } from './index.ts'

export const shopKeys = generateKeyPairSync('ec', { namedCurve: 'P-256' })
export const malloryKeys = generateKeyPairSync('ec', { namedCurve: 'P-256' })

/** One server, and what its tests make on it. */
export class Scene {
  readonly server: Nats
  readonly origin: string
  readonly #clients: NatsClient[] = []
  #counter = 0

  constructor(server: Nats) {
    this.server = server
    this.origin = `tls://localhost:${server.port}`
  }

  readonly trust = () => ({ side: 'client' as const, trust: { pem: this.server.pki.ca.certificate } })
  readonly as = (username: string, password: string): CredentialSource => {
    const check = forTargets('a test', [this.origin])
    let spent = false
    return (request) => {
      check(request)
      // As every source of one password: what was refused is never sent a second time.
      spent ||= request.refused !== undefined
      if (spent) throw new UnavailableError('ERR_SOURCE_EXHAUSTED', 'There is one password.')
      return { credential: { kind: 'basic', carrier: 'authorization', username, password: secret(password) } }
    }
  }

  async open(options: Partial<ClientOptions> = {}): Promise<NatsClient> {
    const credentials = this.as(this.server.username, this.server.password)
    const made = await client({ servers: this.origin, tls: this.trust(), credentials, timeoutMs: 2_000, ...options })
    this.#clients.push(made)
    return made
  }

  /** A stream with a durable consumer, and one for its dead letters. */
  async stream(ackWaitMs = 30_000): Promise<{ name: string; subject: string; dead: string; deadStream: string }> {
    const name = `s${++this.#counter}`
    const [subject, dead, deadStream] = [`orders.${name}`, `dead.${name}`, `${name}-dead`] as const
    const own = await (await this.open()).open()
    const manager = await jetstreamManager(own)
    await manager.streams.add({ name, subjects: [`orders.${name}`, `orders.${name}.>`] })
    await manager.streams.add({ name: deadStream, subjects: [dead] })
    await manager.consumers.add(name, { durable_name: 'worker', ack_policy: 'explicit', ack_wait: ackWaitMs * 1_000_000 })
    await own.close()
    return { name, subject, dead, deadStream }
  }

  /** What a stream holds, with the library itself. */
  async stored(stream: string): Promise<{ readonly text: string; readonly headers: Readonly<Record<string, string>> }[]> {
    const own = await (await this.open()).open()
    const { streams } = await jetstreamManager(own)
    const { state } = await streams.info(stream)
    const all: { text: string; headers: Record<string, string> }[] = []
    for (let seq = state.first_seq; state.messages > 0 && seq <= state.last_seq; seq++) {
      const message = await streams.getMessage(stream, { seq })
      if (message === null) continue
      const headers = Object.fromEntries([...(message.header ?? [])].map(([key, values]) => [key, values.join()]))
      all.push({ text: Buffer.from(message.data).toString(), headers })
    }
    await own.close()
    return all
  }

  /** How many messages of a stream its consumer has not finished yet. */
  async unfinished(stream: string): Promise<number> {
    const own = await (await this.open()).open()
    const info = await (await jetstreamManager(own)).consumers.info(stream, 'worker')
    await own.close()
    return info.num_pending + info.num_ack_pending
  }

  readonly sign = (key: KeyObject = shopKeys.privateKey, headers?: [string, ...string[]]): BoundSource =>
    messageSigner({
      issuer: 'urn:shop',
      key: { privateKey: key },
      audience: 'warehouse',
      targets: [this.origin],
      ...(headers && { headers }),
    })

  async [Symbol.asyncDispose](): Promise<void> {
    for (const one of this.#clients) one.close()
    await this.server[Symbol.asyncDispose]()
  }
}

export const warehouse = (audit?: (event: AuditEvent) => void): Guard<Principal> =>
  guard({
    authenticate: signedMessages({
      audience: 'warehouse',
      signers: [{ issuer: 'urn:shop', keys: { publicKey: shopKeys.publicKey }, scopes: ['orders:publish'] }],
      maxAgeMs: 60_000,
    }),
    authorize: scope('orders:publish'),
    ...(audit && { audit }),
  })
