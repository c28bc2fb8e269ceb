import { createHash, randomBytes } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import path from 'node:path'
import { pathOf } from './locate.ts'
import type { Pki } from './pki.ts'
import { freePort, isListening } from './ports.ts'
import { type Running, type ServerOptions, ground, launchServer, uniqueName } from './server.ts'

export interface RedisOptions extends ServerOptions {
  /** Access rules by user, as in an ACL file after `user NAME on`: `>secret ~app:* +@read`. Default: `app`, who may read and write everything. */
  users?: Readonly<Record<string, string>>
  /** `required`: the client too must show a certificate. Default `optional`. */
  clientCertificate?: 'optional' | 'required'
}

export interface RedisFacts {
  readonly port: number
  /** Without user and password. */
  readonly url: string
  /** The default user `app`; absent where `users` was given. */
  readonly username?: string
  readonly password?: string
  readonly pki: Pki
}

export interface RedisMethods {
  /** A key prefix that no other test has. */
  namespace(): Promise<string>
}

export type Redis = RedisFacts & RedisMethods & Running

/** Starts Redis with TLS and no plain port, the default user off, nothing stored on disk. Takes about 50 ms. */
export async function startRedis(options: RedisOptions = {}): Promise<Redis> {
  const command = pathOf('redis', 'redis-server')
  const { directory, pki } = ground('redis', options)
  const port = await freePort()
  const password = randomBytes(9).toString('base64url')
  const hash = createHash('sha256').update(password).digest('hex')
  const users = options.users ?? { app: `#${hash} ~* &* +@all -@admin` }
  const acl = path.join(directory, 'users.acl')
  writeFileSync(acl, ['user default off', ...Object.entries(users).map(([name, rules]) => `user ${name} on ${rules}`), ''].join('\n'), {
    mode: 0o600,
  })
  const config = path.join(directory, 'redis.conf')
  const lines = {
    bind: '127.0.0.1',
    port: '0',
    'tls-port': String(port),
    'tls-cert-file': pki.server.certificateFile,
    'tls-key-file': pki.server.keyFile,
    'tls-ca-cert-file': pki.ca.certificateFile,
    'tls-auth-clients': options.clientCertificate === 'required' ? 'yes' : 'optional',
    'tls-protocols': '"TLSv1.2 TLSv1.3"',
    aclfile: acl,
    dir: directory,
    save: '""',
    appendonly: 'no',
    daemonize: 'no',
  }
  writeFileSync(
    config,
    Object.entries(lines)
      .map(([key, value]) => `${key} ${value}\n`)
      .join(''),
  )
  const running = await launchServer({
    name: 'redis-server',
    command,
    args: [config],
    directory,
    ready: () => isListening(port),
    readyWithinMs: 20_000,
  })
  const facts = { port, url: `rediss://localhost:${port}`, pki, ...(options.users === undefined && { username: 'app', password }) }
  return Object.assign(running, redisOf(facts))
}

/** What can be done with a server that runs already. */
export function redisOf(facts: RedisFacts): RedisFacts & RedisMethods {
  return { ...facts, namespace: async () => `${uniqueName()}:` }
}
