/** Tokens by client credentials, over HTTPS: ours beside a bare `oidc-provider` with the same key, lifetimes and form of token. */
import { generateKeyPairSync, type KeyObject } from 'node:crypto'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { secret } from '@portcullis/core'
import { hashPassword } from '@portcullis/crypto'
import { createSts, memoryState, type StsClientProof, type StsState } from '@portcullis/sts'
import { sqliteState } from '@portcullis/sts/sqlite'
import { attach, secureServerOptions } from '@portcullis/tls'
import { developmentTls, type DevelopmentTls } from '@portcullis/tls/development'
import { Provider } from 'oidc-provider'
import type { RunOptions, Table } from '../table.ts'
import { ask, inWindows, processorTime, start, type Cost } from '../windows.ts'
import type { OpenMessage, RunMessage } from './load.ts'

interface Contender {
  readonly name: string
  /** The one that it is compared with. */
  readonly base: string
  readonly format: 'jwt' | 'opaque'
  readonly port: number
  readonly path: string
  readonly close: () => Promise<unknown>
}

const clientSecret = 'a-secret-of-the-client-0123'
const audience = 'https://orders.example'
const windowRequests = 200
const connections = 8
// A connection waits while the others are measured.
const idleMs = 600_000

export async function run({ quick }: RunOptions): Promise<Table> {
  const tls = await developmentTls()
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const folder = mkdtempSync(join(tmpdir(), 'portcullis-bench-'))
  const state = sqliteState({ file: join(folder, 'sts.db') })
  const proof = { secret: secret(clientSecret) }
  const hashed = { secret: { hash: await hashPassword(clientSecret) } }
  const contenders = [
    await bare('oidc-provider, JWT', 'jwt', tls, privateKey),
    await ours('sts, JWT', 'oidc-provider, JWT', 'jwt', tls, privateKey, proof),
    await ours('sts, JWT, secret known by its hash', 'oidc-provider, JWT', 'jwt', tls, privateKey, hashed),
    await bare('oidc-provider, opaque, in memory', 'opaque', tls, privateKey),
    await ours(
      'sts, opaque, in memory',
      'oidc-provider, opaque, in memory',
      'opaque',
      tls,
      privateKey,
      proof,
      memoryState({ maxEntries: 1_000_000 }),
    ),
    await ours('sts, opaque, SQLite, synced', 'oidc-provider, opaque, in memory', 'opaque', tls, privateKey, proof, state),
  ]
  try {
    const costs = await measure(contenders, tls.authority, quick ? 12 : 60)
    const byName = new Map([...costs].map(([{ name }, { us }]) => [name, us]))
    return {
      title: 'Token service: tokens by client credentials',
      note: `POST over HTTPS on ${connections} kept connections, ES256; processor time of the server for one token (all threads, 10th percentile of windows of ${windowRequests}), and the tokens that one core issues in a second. Ratio: speed, where 1 is as fast as the bare library below. SQLite waits for the disk besides, which is no processor time.`,
      columns: ['server', 'µs of CPU per token', 'spread', 'tokens per second and core', 'ratio'],
      rows: [...costs].map(([{ name, base }, { us, spread }]) => [
        name,
        us.toFixed(0),
        `${(spread * 100).toFixed(0)} %`,
        (1_000_000 / us).toFixed(0),
        ((byName.get(base) ?? Number.NaN) / us).toFixed(2),
      ]),
    }
  } finally {
    state.close()
    rmSync(folder, { recursive: true })
  }
}

async function bare(name: string, format: 'jwt' | 'opaque', tls: DevelopmentTls, key: KeyObject): Promise<Contender> {
  let handle: ReturnType<Provider['callback']> = () => Promise.resolve()
  const server = createServer(secureServerOptions(tls), (request, response) => void handle(request, response))
  server.keepAliveTimeout = idleMs
  attach(server, tls)
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const { port } = server.address() as AddressInfo
  const provider = new Provider(`https://localhost:${port}`, {
    jwks: { keys: [{ ...key.export({ format: 'jwk' }), alg: 'ES256', use: 'sig', kid: 'one' }] },
    clients: [
      {
        client_id: 'shop',
        client_secret: clientSecret,
        grant_types: ['client_credentials'],
        response_types: [],
        redirect_uris: [],
        id_token_signed_response_alg: 'ES256',
      },
    ],
    features: {
      devInteractions: { enabled: false },
      clientCredentials: { enabled: true },
      resourceIndicators: {
        enabled: true,
        defaultResource: () => audience,
        getResourceServerInfo: () => ({
          scope: 'read',
          audience,
          accessTokenTTL: 300,
          accessTokenFormat: format,
          jwt: { sign: { alg: 'ES256' } },
        }),
      },
    },
    ttl: { ClientCredentials: 300 },
  })
  handle = provider.callback()
  const close = (): Promise<unknown> => {
    server.close()
    server.closeAllConnections()
    return once(server, 'close')
  }
  return { name, base: name, format, port, path: '/token', close }
}

async function ours(
  name: string,
  base: string,
  format: 'jwt' | 'opaque',
  tls: DevelopmentTls,
  privateKey: KeyObject,
  proof: StsClientProof,
  state: StsState = memoryState(),
): Promise<Contender> {
  const sts = await createSts({
    tls,
    state,
    timeouts: { idleMs },
    keys: [{ privateKey }],
    audiences: { [audience]: { scopes: ['read'], format } },
    clients: [{ id: 'shop', ...proof, grants: ['client_credentials'], audiences: [audience], scopes: ['read'] }],
  })
  return { name, base, format, port: sts.port, path: '/oauth2/token', close: () => sts.close() }
}

async function measure(contenders: readonly Contender[], authority: string, windows: number): Promise<ReadonlyMap<Contender, Cost>> {
  const far = start(new URL('./load.ts', import.meta.url))
  try {
    const authorization = `Basic ${Buffer.from(`shop:${clientSecret}`).toString('base64')}`
    const form = 'grant_type=client_credentials&scope=read'
    for (const [id, { port, path }] of contenders.entries()) {
      await ask(far, { type: 'open', id, port, path, authority, authorization, form, connections } satisfies OpenMessage)
      await ask(far, { type: 'run', id, count: 2 * windowRequests } satisfies RunMessage)
    }
    return await inWindows(contenders, windows, async (_, id) => {
      const window: RunMessage = { type: 'run', id, count: windowRequests }
      return (await processorTime(() => ask(far, window))) / windowRequests
    })
  } finally {
    far.kill()
    for (const contender of contenders) await contender.close()
  }
}
