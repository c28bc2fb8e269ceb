import { mkdirSync, writeFileSync } from 'node:fs'
import { request } from 'node:https'
import path from 'node:path'
import { startChild } from './child.ts'
import { pathOf } from './locate.ts'
import type { Pki } from './pki.ts'
import { freePort, isListening } from './ports.ts'
import { type RabbitmqUser, configOf, definitionsOf, everything } from './rabbitmq-config.ts'
import { type Running, type ServerOptions, ground, launchServer, uniqueName } from './server.ts'

export interface RabbitmqOptions extends ServerOptions {
  /**
   * By name. A user without a password can only come with a certificate (EXTERNAL, by the certificate's common name).
   * Default: `app`, who may do everything in `/`, and `alice` without a password, who may use what begins with `alice.`.
   * `admin` is always there.
   */
  users?: Readonly<Record<string, RabbitmqUser>>
  /** Beside `/`. */
  virtualHosts?: readonly string[]
  /** Tokens as passwords. Scopes are read as `<resourceServerId>.read:<vhost>/<name>` and so on. */
  oauth2?: {
    resourceServerId: string
    /** PEM public keys by key id. */
    signingKeys?: Readonly<Record<string, string>>
    /** In place of `signingKeys`; an `https:` URL whose certificate the server's own authority signed. */
    jwksUrl?: string
  }
  /** Asks these URLs, by POST, who may do what; an `https:` one is verified against the server's own authority, and gets to see the server's own certificate. */
  http?: { user: string; vhost: string; resource: string; topic: string }
  /** Lines for rabbitmq.conf. */
  extraConfig?: string
}

export interface RabbitmqFacts {
  readonly port: number
  /** Without user and password. */
  readonly url: string
  /** The management interface, for `admin`, over HTTPS. */
  readonly managementUrl: string
  readonly adminPassword: string
  /** Passwords of the users that have one. */
  readonly users: Readonly<Record<string, string>>
  readonly pki: Pki
}

export interface RabbitmqMethods {
  /** Makes a virtual host that no other test has, in which these users (default: all that have a password) may do everything. */
  namespace(...users: string[]): Promise<string>
  /** Calls the management interface as `admin`: `manage('PUT', '/api/vhosts/x')`. Throws unless the answer is a success. */
  manage(method: string, resource: string, body?: unknown): Promise<unknown>
}

export type Rabbitmq = RabbitmqFacts & RabbitmqMethods & Running

/** Starts RabbitMQ with AMQP over TLS and no plain listener; PLAIN and EXTERNAL. Takes 5 to 10 s on two cores. */
export async function startRabbitmq(options: RabbitmqOptions = {}): Promise<Rabbitmq> {
  const [command, epmdCommand] = [pathOf('rabbitmq', 'rabbitmq-server'), pathOf('rabbitmq', 'epmd')]
  const { directory, pki } = ground('rabbitmq', options)
  const [port, managementPort, distributionPort, epmdPort] = [await freePort(), await freePort(), await freePort(), await freePort()]
  const adminPassword = uniqueName('admin')
  const users: Record<string, RabbitmqUser> = {
    ...(options.users ?? { app: { password: 'app-secret' }, alice: { permissions: { '/': onlyAlice } } }),
    admin: { password: adminPassword, tags: 'administrator' },
  }
  const file = (name: string): string => path.join(directory, name)
  mkdirSync(file('home'))
  const plugins = ['rabbitmq_management', 'rabbitmq_auth_mechanism_ssl']
  if (options.oauth2 !== undefined) plugins.push('rabbitmq_auth_backend_oauth2')
  if (options.http !== undefined) plugins.push('rabbitmq_auth_backend_http')
  writeFileSync(file('enabled_plugins'), `[${plugins.join(',')}].\n`)
  writeFileSync(file('definitions.json'), JSON.stringify(definitionsOf(users, ['/', ...(options.virtualHosts ?? [])])), { mode: 0o600 })
  const { conf, advanced } = configOf({ directory, pki, port, managementPort }, options)
  writeFileSync(file('rabbitmq.conf'), conf)
  writeFileSync(file('advanced.config'), advanced)

  const env = {
    HOME: file('home'),
    LANG: 'C.UTF-8',
    RABBITMQ_NODENAME: `${uniqueName('rabbit')}@localhost`,
    RABBITMQ_MNESIA_BASE: file('mnesia'),
    RABBITMQ_LOG_BASE: file('log'),
    RABBITMQ_CONFIG_FILE: file('rabbitmq.conf'),
    RABBITMQ_ADVANCED_CONFIG_FILE: file('advanced.config'),
    RABBITMQ_CONF_ENV_FILE: '/dev/null',
    RABBITMQ_ENABLED_PLUGINS_FILE: file('enabled_plugins'),
    RABBITMQ_DIST_PORT: String(distributionPort),
    RABBITMQ_GENERATED_CONFIG_DIR: file('generated'),
    RABBITMQ_SCHEMA_DIR: file('schema'),
    RABBITMQ_PID_FILE: file('pid'),
    ERL_EPMD_PORT: String(epmdPort),
    ERL_EPMD_ADDRESS: '127.0.0.1',
    // Schedulers that spin while idle would take the cores from the tests.
    RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS: '-kernel inet_dist_use_interface {127,0,0,1} +S 2:2 +sbwt none',
    // The script then becomes the server instead of watching it, so that a signal reaches the server itself.
    RUNNING_UNDER_SYSTEMD: 'true',
  }
  mkdirSync(file('epmd'))
  // A child of ours: one that the server starts would be a daemon and outlive it.
  const epmd = await startChild({
    name: 'epmd',
    command: epmdCommand,
    args: ['-port', String(epmdPort), '-address', '127.0.0.1'],
    directory: file('epmd'),
    ready: () => isListening(epmdPort),
    readyWithinMs: 10_000,
  })
  const running = await launchServer(
    {
      name: 'rabbitmq-server',
      command,
      args: [],
      directory,
      env,
      ready: async (log) => log.includes('Server startup complete') && (await isListening(port)),
      // Ten times what it takes alone: a busy machine is no failure.
      readyWithinMs: 90_000,
      // Its stores are closed within 50 ms of the signal; then it waits six seconds for something of its own, which a kill cuts short.
      stopWithinMs: 2000,
    },
    [epmd],
  )
  const passwords = Object.entries(users).flatMap(([name, user]) =>
    user.password === undefined || name === 'admin' ? [] : [[name, user.password] as const],
  )
  const managementUrl = `https://localhost:${managementPort}`
  return Object.assign(
    running,
    rabbitmqOf({ port, url: `amqps://localhost:${port}`, managementUrl, adminPassword, users: Object.fromEntries(passwords), pki }),
  )
}

const onlyAlice = { configure: '^alice\\.', write: '^alice\\.|^amq\\.default$', read: '^alice\\.' }

/** What can be done with a broker that runs already. */
export function rabbitmqOf(facts: RabbitmqFacts): RabbitmqFacts & RabbitmqMethods {
  const manage = (method: string, resource: string, body?: unknown): Promise<unknown> =>
    new Promise((resolve, reject) => {
      const credentials = Buffer.from(`admin:${facts.adminPassword}`).toString('base64')
      const headers = { authorization: `Basic ${credentials}`, 'content-type': 'application/json' }
      const call = request(
        new URL(resource, facts.managementUrl),
        { method, headers, ca: facts.pki.ca.certificate, agent: false, timeout: 10_000 },
        (response) => {
          const chunks: Buffer[] = []
          response.on('data', (chunk: Buffer) => chunks.push(chunk))
          response.once('end', () => {
            const text = Buffer.concat(chunks).toString()
            if ((response.statusCode ?? 500) < 300) resolve(text === '' ? undefined : JSON.parse(text))
            else reject(new Error(`${method} ${resource}: ${response.statusCode} ${text}`))
          })
        },
      )
      call.once('error', reject).once('timeout', () => call.destroy(new Error(`${method} ${resource}: no answer`)))
      call.end(body === undefined ? undefined : JSON.stringify(body))
    })
  return {
    ...facts,
    manage,
    namespace: async (...users) => {
      const virtualHost = uniqueName()
      await manage('PUT', `/api/vhosts/${virtualHost}`)
      for (const user of ['admin', ...(users.length > 0 ? users : Object.keys(facts.users))])
        await manage('PUT', `/api/permissions/${virtualHost}/${user}`, everything)
      return virtualHost
    },
  }
}
