/** One instance of a token service in a process of its own, for tests that kill it. Says its port in a line. */
import { readFileSync } from 'node:fs'
import { memoryUserStore } from '@portcullis/auth'
import { secret } from '@portcullis/core'
import pg from 'pg'
import { createClient } from 'redis'
import { createSts, type StsState } from './index.ts'
import { postgresState } from './state/postgres.ts'
import { redisState } from './state/redis.ts'
import { sqliteState } from './state/sqlite.ts'
import type { InstanceInit } from './instances.test-support.ts'

const init = JSON.parse(process.argv[2] ?? '') as InstanceInit

async function stateOf({ state }: InstanceInit): Promise<StsState> {
  if (state.kind === 'sqlite') return sqliteState({ file: state.file })
  const ca = readFileSync(state.caFile, 'utf8')
  if (state.kind === 'postgres') {
    const { user, password, database, port } = state
    const pool = new pg.Pool({ host: 'localhost', port, user, password, database, ssl: { ca }, max: 8 })
    return postgresState({ pool })
  }
  const client = createClient({ url: state.url, username: state.user, password: state.password, socket: { tls: true, ca } })
  client.on('error', () => undefined)
  await client.connect()
  return redisState({ prefix: state.prefix, command: (command) => client.sendCommand([...command]) })
}

const sts = await createSts({
  tls: { side: 'server', identity: { key: { pemFile: init.keyFile }, certificates: { pemFile: init.certificateFile } } },
  issuer: 'https://sts.localhost',
  state: await stateOf(init),
  keys: [{ privateKey: { pem: init.signingKey } }],
  audiences: { stock: { scopes: ['read'], format: 'opaque' }, orders: { scopes: ['read'] } },
  clients: [
    {
      id: 'shop',
      secret: secret(init.secret),
      grants: ['client_credentials', 'password', 'refresh_token'],
      audiences: ['stock', 'orders'],
      scopes: ['read'],
    },
    { id: 'stock', secret: secret(init.secret), serves: ['stock'] },
  ],
  passwordGrant: { users: memoryUserStore({ name: 'people', users: [{ username: 'alice', password: init.hash, scopes: ['read'] }] }) },
})
process.stdout.write(`${sts.port}\n`)
