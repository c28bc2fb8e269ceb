import { randomUUID, generateKeyPairSync, type KeyObject } from 'node:crypto'
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
import type { Stan } from '@portcullis/test-servers'
import { StartPosition } from 'node-nats-streaming'
import { client, guard, scope, unframe, type ClientOptions, type StanClient, type StanConnection, type Unframed } from './index.ts'

export const shopKeys = generateKeyPairSync('ec', { namedCurve: 'P-256' })
export const malloryKeys = generateKeyPairSync('ec', { namedCurve: 'P-256' })

/** What a channel holds of one message. */
export interface Stored {
  readonly data: Buffer
  readonly parts: Unframed
  readonly headers: Readonly<Record<string, string>>
}

/** One server, and what its tests make on it. */
export class Scene {
  readonly server: Stan
  readonly origin: string
  readonly #clients: StanClient[] = []
  #counter = 0

  constructor(server: Stan) {
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

  async open(options: Partial<ClientOptions> = {}): Promise<StanClient> {
    const { clusterId, username, password } = this.server
    const made = await client({
      servers: this.origin,
      clusterId,
      tls: this.trust(),
      credentials: this.as(username, password),
      timeoutMs: 2_000,
      ...options,
    })
    this.#clients.push(made)
    return made
  }

  async connect(options: Partial<ClientOptions> = {}): Promise<StanConnection> {
    return await (await this.open(options)).open(randomUUID())
  }

  /** Names that no other test has. */
  names(): { readonly channel: string; readonly dead: string; readonly clientId: string; readonly durable: string } {
    const own = `c${++this.#counter}`
    return { channel: `orders.${own}`, dead: `dead.${own}`, clientId: `consumer-${own}`, durable: 'worker' }
  }

  /** What a channel holds after so many messages, with the library itself. */
  async stored(channel: string, count: number): Promise<Stored[]> {
    const own = await this.connect()
    const found: Stored[] = []
    const settings = own.stan.subscriptionOptions().setStartAt(StartPosition.FIRST)
    const all = Promise.withResolvers<void>()
    await own.subscribe(channel, undefined, settings, (subscription) =>
      subscription.on('message', (message: { getRawData(): Buffer }) => {
        const data = message.getRawData()
        const parts = unframe(data)
        found.push({ data, parts, headers: parts.kind === 'framed' ? Object.fromEntries(parts.headers) : {} })
        if (found.length === count) all.resolve()
      }),
    )
    const timer = setTimeout(() => all.resolve(), count === 0 ? 200 : 5_000)
    await all.promise
    clearTimeout(timer)
    await own.close()
    return found
  }

  readonly sign = (
    key: KeyObject = shopKeys.privateKey,
    { audience = 'warehouse', headers }: { audience?: string; headers?: [string, ...string[]] } = {},
  ): BoundSource =>
    messageSigner({ issuer: 'urn:shop', key: { privateKey: key }, audience, targets: [this.origin], ...(headers && { headers }) })

  async [Symbol.asyncDispose](): Promise<void> {
    for (const one of this.#clients) one.close()
    await this.server[Symbol.asyncDispose]()
  }
}

export const authenticate = (keys: Parameters<typeof signedMessages>[0]['signers'][0]['keys'] = { publicKey: shopKeys.publicKey }) =>
  signedMessages({
    audience: 'warehouse',
    signers: [{ issuer: 'urn:shop', keys, scopes: ['orders:publish'] }],
    maxAgeMs: 60_000,
    maxTransitMs: 5_000,
  })

export const warehouse = (audit?: (event: AuditEvent) => void): Guard<Principal> =>
  guard({ authenticate: authenticate(), authorize: scope('orders:publish'), ...(audit && { audit }) })

export const codes = (events: readonly AuditEvent[]): unknown[] => events.map((event) => ('code' in event ? event.code : undefined))
