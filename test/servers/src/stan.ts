import { writeFileSync } from 'node:fs'
import path from 'node:path'
import { pathOf } from './locate.ts'
import { tlsOf } from './nats.ts'
import type { Pki } from './pki.ts'
import { freePort } from './ports.ts'
import { type Running, type ServerOptions, ground, launchServer, uniqueName } from './server.ts'

export interface StanOptions extends ServerOptions {
  /** Raw configuration text of the embedded NATS server. Default: one user, `user` by `password`. */
  config?: string
  /** Raw configuration text of the streaming part, such as its own account where `config` demands one. */
  streaming?: string
  clientCertificate?: 'verify' | 'map'
}

export interface StanFacts {
  readonly port: number
  readonly url: string
  readonly clusterId: string
  readonly username: string
  readonly password: string
  readonly pki: Pki
}

export interface StanMethods {
  /** A channel prefix that no other test has. */
  namespace(): Promise<string>
}

export type Stan = StanFacts & StanMethods & Running

/** Starts NATS Streaming, which upstream ended in 2023, with TLS and its store in memory. Takes about 100 ms. */
export async function startStan(options: StanOptions = {}): Promise<Stan> {
  const command = pathOf('stan', 'nats-streaming-server')
  const { directory, pki } = ground('stan', options)
  const port = await freePort()
  const [username, password, clusterId] = ['user', 'password', 'test-cluster']
  const config = options.config ?? `authorization { users = [ { user: ${username}, password: ${password} } ] }`
  const file = path.join(directory, 'stan.conf')
  // The streaming part is a client of the NATS part in the same process, so it needs trust, and an account of its own, too.
  const own = [
    `client_ca: ${JSON.stringify(pki.ca.certificateFile)}`,
    `client_cert: ${JSON.stringify(pki.server.certificateFile)}`,
    `client_key: ${JSON.stringify(pki.server.keyFile)}`,
  ]
  const streaming = [
    `cluster_id: ${clusterId}`,
    'store: memory',
    options.streaming ?? (options.config === undefined ? `username: ${username}\npassword: ${password}` : ''),
    `tls { ${own.join(', ')} }`,
  ]
  const parts = [`listen: "localhost:${port}"`, `tls { ${tlsOf(pki, options)} }`, config, `streaming { ${streaming.join('\n')} }`]
  writeFileSync(file, `${parts.join('\n')}\n`, { mode: 0o600 })
  const running = await launchServer({
    name: 'nats-streaming-server',
    command,
    args: ['-c', file],
    directory,
    ready: (log) => log.includes('Streaming Server is ready'),
    readyWithinMs: 20_000,
  })
  return Object.assign(running, stanOf({ port, url: `tls://localhost:${port}`, clusterId, username, password, pki }))
}

/** What can be done with a server that runs already. */
export function stanOf(facts: StanFacts): StanFacts & StanMethods {
  return { ...facts, namespace: async () => `${uniqueName()}.` }
}
