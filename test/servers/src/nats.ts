import { writeFileSync } from 'node:fs'
import path from 'node:path'
import { pathOf } from './locate.ts'
import type { Pki } from './pki.ts'
import { freePort, isListening } from './ports.ts'
import { type Running, type ServerOptions, ground, launchServer, uniqueName } from './server.ts'

export interface NatsOptions extends ServerOptions {
  /**
   * Raw configuration text: `authorization { … }`, `accounts { … }` with an `auth_callout`, `operator: …` with its resolver.
   * Default: one user, `user` by `password`. In the server's language a later key replaces an earlier one.
   */
  config?: string
  /** `verify`: a client certificate is required. `map`: and its names are looked up among the users. Default: none is asked for. */
  clientCertificate?: 'verify' | 'map'
  /** TLS before the first byte, in place of the server's greeting in the clear. */
  handshakeFirst?: boolean
  jetstream?: boolean
  /** A WebSocket listener beside the other. */
  websocket?: boolean
}

export interface NatsFacts {
  readonly port: number
  readonly url: string
  readonly websocketPort?: number
  /** The default user; of no use where `config` was given. */
  readonly username: string
  readonly password: string
  readonly pki: Pki
}

export interface NatsMethods {
  /** A subject prefix that no other test has. */
  namespace(): Promise<string>
}

export interface Nats extends NatsFacts, NatsMethods, Running {
  /** Puts other configuration text in place of `config` and has the server read it, without a restart. Returns when it says that it did. */
  reload(config: string): Promise<void>
}

/** Starts nats-server with TLS. Takes about 50 ms. */
export async function startNats(options: NatsOptions = {}): Promise<Nats> {
  const command = pathOf('nats', 'nats-server')
  const { directory, pki } = ground('nats', options)
  const port = await freePort()
  const websocketPort = options.websocket === true ? await freePort() : undefined
  const [username, password] = ['user', 'password']
  const file = path.join(directory, 'nats.conf')
  const write = (config: string): void => {
    const parts = [`listen: 127.0.0.1:${port}`, `tls { ${tlsOf(pki, options)} }`]
    if (options.jetstream === true) parts.push(`jetstream { store_dir: ${JSON.stringify(path.join(directory, 'jetstream'))} }`)
    if (websocketPort !== undefined) parts.push(`websocket { listen: "127.0.0.1:${websocketPort}", tls { ${tlsOf(pki, {})} } }`)
    writeFileSync(file, `${parts.join('\n')}\n${config}\n`, { mode: 0o600 })
  }
  write(options.config ?? `authorization { users = [ { user: ${username}, password: ${password} } ] }`)
  const running = await launchServer({
    name: 'nats-server',
    command,
    args: ['-c', file],
    directory,
    ready: () => isListening(port),
    readyWithinMs: 20_000,
  })
  const facts = { port, url: `tls://localhost:${port}`, username, password, pki, ...(websocketPort !== undefined && { websocketPort }) }
  const reload = async (config: string): Promise<void> => {
    write(config)
    const before = running.log().length
    running.child.signal('SIGHUP')
    await running.child.waitForLog((log) => {
      const since = log.slice(before)
      if (since.includes('Failed to reload')) throw new Error(`nats-server did not take the configuration:\n${since}`)
      return since.includes('Reloaded server configuration')
    }, 10_000)
  }
  return Object.assign(running, natsOf(facts), { reload })
}

/** What can be done with a server that runs already. */
export function natsOf(facts: NatsFacts): NatsFacts & NatsMethods {
  return { ...facts, namespace: async () => `${uniqueName()}.` }
}

/** The inside of a `tls` block; NATS Streaming, which embeds the same server, has the same. */
export function tlsOf(pki: Pki, options: Pick<NatsOptions, 'clientCertificate' | 'handshakeFirst'>): string {
  const lines = [
    `cert_file: ${JSON.stringify(pki.server.certificateFile)}`,
    `key_file: ${JSON.stringify(pki.server.keyFile)}`,
    `ca_file: ${JSON.stringify(pki.ca.certificateFile)}`,
  ]
  if (options.clientCertificate === 'verify') lines.push('verify: true')
  if (options.clientCertificate === 'map') lines.push('verify_and_map: true')
  if (options.handshakeFirst === true) lines.push('handshake_first: true')
  return lines.join(', ')
}
