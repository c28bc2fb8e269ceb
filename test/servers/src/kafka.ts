import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { readdirSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { pathToFileURL } from 'node:url'
import { promisify } from 'node:util'
import { type KafkaAcl, createAcls } from './kafka-acls.ts'
import { pathOf } from './locate.ts'
import type { Identity, Pki } from './pki.ts'
import { freePort } from './ports.ts'
import { type Running, type ServerOptions, ground, launchServer, uniqueName } from './server.ts'

export interface KafkaOptions extends ServerOptions {
  /** `4` is the full one; `3` (3.9) is there for a smoke run. Default 4. */
  version?: 3 | 4
  /** Password by user, for PLAIN and SCRAM alike. `admin` may do everything, and is added when absent. */
  users?: Readonly<Record<string, string>>
  /** Turns OAUTHBEARER on. The principal is the token's `sub`. */
  oauth?: KafkaOAuth
  /** How long a SASL session lives before the client must authenticate again. Default: as long as the connection. */
  maxReauthMs?: number
  acls?: readonly KafkaAcl[]
  /** Lines for server.properties, which win over those made here. */
  properties?: Readonly<Record<string, string | number>>
  heapMegabytes?: number
}

export interface KafkaOAuth {
  /** A file's path, or an `https:` URL. */
  jwks: string
  issuer: string
  audience: string
  /** Who signed the certificate of an `https:` JWKS. Default: the server's own authority. */
  jwksCaFile?: string
}

/** How to reach a broker: what a process that did not start it can know too. */
export interface KafkaFacts {
  readonly version: string
  /** SASL_SSL: PLAIN, SCRAM-SHA-256, SCRAM-SHA-512, and OAUTHBEARER where asked for. */
  readonly saslBootstrap: string
  readonly saslPort: number
  /** SSL with a client certificate required; the principal is its common name. */
  readonly mtlsBootstrap: string
  readonly mtlsPort: number
  readonly users: Readonly<Record<string, string>>
  readonly pki: Pki
  /** The broker's own certificate, a super user on the mTLS listener. */
  readonly broker: Identity
}

export interface KafkaMethods {
  /** Adds access rules and waits until the broker applies them. Without a rule only `admin` and the broker may do anything. */
  allow(acls: readonly KafkaAcl[]): Promise<void>
  /** A prefix for topics, groups and transactions that no other test has. The principals named may do everything below it. */
  namespace(...principals: string[]): Promise<string>
}

export type Kafka = KafkaFacts & KafkaMethods & Running

/** Starts one broker in KRaft mode that is its own controller, with TLS on every listener. Takes 5 to 10 s on two cores. */
export async function startKafka(options: KafkaOptions = {}): Promise<Kafka> {
  const tool = options.version === 3 ? 'kafka-3' : 'kafka'
  const [jars, java] = [pathOf(tool, 'jars'), pathOf('java', 'java')]
  const { directory, pki } = ground('kafka', options)
  const [saslPort, mtlsPort, controllerPort] = [await freePort(), await freePort(), await freePort()]
  const users = { admin: 'admin-secret', ...options.users }
  const broker = pki.issue({ name: 'broker', dns: ['localhost'], ip: ['127.0.0.1'] })
  const keystore = path.join(directory, 'broker.pem')
  writeFileSync(keystore, broker.key + broker.certificate, { mode: 0o600 })
  const made = { directory, pki, saslPort, mtlsPort, controllerPort, users, keystore }
  const properties = path.join(directory, 'server.properties')
  const lines = { ...basicProperties(made), ...saslProperties(made, options), ...options.properties }
  writeFileSync(
    properties,
    Object.entries(lines)
      .map(([key, value]) => `${key}=${value}\n`)
      .join(''),
    { mode: 0o600 },
  )

  const jvm = jvmArguments(jars, options)
  const scram = Object.entries(users).flatMap(([user, password]) =>
    ['SCRAM-SHA-256', 'SCRAM-SHA-512'].flatMap((mechanism) => ['--add-scram', `${mechanism}=[name=${user},password=${password}]`]),
  )
  const format = ['kafka.tools.StorageTool', 'format', '--cluster-id', clusterId(), '--config', properties, ...scram]
  await promisify(execFile)(java, [...jvm, ...format], { timeout: 60_000, cwd: directory })

  const running = await launchServer({
    name: `Kafka ${tool}`,
    command: java,
    args: [...jvm, 'kafka.Kafka', properties],
    directory,
    ready: (log) => log.includes('Kafka Server started'),
    // Ten times what it takes alone: a busy machine is no failure.
    readyWithinMs: 90_000,
    stopWithinMs: 20_000,
  })
  const version =
    readdirSync(jars)
      .map((file) => /^kafka-clients-(.*)\.jar$/.exec(file)?.[1])
      .find((hit) => hit !== undefined) ?? 'unknown'
  const kafka = kafkaOf({
    version,
    saslBootstrap: `localhost:${saslPort}`,
    saslPort,
    mtlsBootstrap: `localhost:${mtlsPort}`,
    mtlsPort,
    users,
    pki,
    broker,
  })
  if (options.acls !== undefined) await kafka.allow(options.acls)
  return Object.assign(running, kafka)
}

/** What can be done with a broker that runs already. */
export function kafkaOf(facts: KafkaFacts): KafkaFacts & KafkaMethods {
  const allow = (acls: readonly KafkaAcl[]): Promise<void> => createAcls(facts, acls)
  return {
    ...facts,
    allow,
    namespace: async (...principals) => {
      const prefix = `${uniqueName()}_`
      await allow(
        principals.flatMap((principal) =>
          (['topic', 'group', 'transaction'] as const).map((resource) => ({ principal, resource, prefix })),
        ),
      )
      return prefix
    },
  }
}

interface Made {
  directory: string
  keystore: string
  pki: Pki
  saslPort: number
  mtlsPort: number
  controllerPort: number
  users: Readonly<Record<string, string>>
}

function basicProperties(made: Made): Record<string, string | number> {
  const { directory, keystore, pki, saslPort, mtlsPort, controllerPort } = made
  return {
    'process.roles': 'broker,controller',
    'node.id': 1,
    'controller.quorum.voters': `1@localhost:${controllerPort}`,
    listeners: `SASL://127.0.0.1:${saslPort},MTLS://127.0.0.1:${mtlsPort},CONTROLLER://127.0.0.1:${controllerPort}`,
    'advertised.listeners': `SASL://localhost:${saslPort},MTLS://localhost:${mtlsPort}`,
    'listener.security.protocol.map': 'SASL:SASL_SSL,MTLS:SSL,CONTROLLER:SSL',
    'inter.broker.listener.name': 'MTLS',
    'controller.listener.names': 'CONTROLLER',
    'ssl.keystore.type': 'PEM',
    'ssl.keystore.location': keystore,
    'ssl.truststore.type': 'PEM',
    'ssl.truststore.location': pki.ca.certificateFile,
    'listener.name.mtls.ssl.client.auth': 'required',
    // The controller is no back door: whoever speaks to it needs the broker's certificate.
    'listener.name.controller.ssl.client.auth': 'required',
    'ssl.principal.mapping.rules': 'RULE:^CN=([^,]+).*$/$1/,DEFAULT',
    'authorizer.class.name': 'org.apache.kafka.metadata.authorizer.StandardAuthorizer',
    'super.users': 'User:admin;User:broker',
    'log.dirs': path.join(directory, 'data'),
    'offsets.topic.replication.factor': 1,
    'offsets.topic.num.partitions': 1,
    'transaction.state.log.replication.factor': 1,
    'transaction.state.log.min.isr': 1,
    'transaction.state.log.num.partitions': 1,
    'share.coordinator.state.topic.replication.factor': 1,
    'share.coordinator.state.topic.min.isr': 1,
    'share.coordinator.state.topic.num.partitions': 1,
    // A test has one consumer in its group: waiting for more costs three seconds each time.
    'group.initial.rebalance.delay.ms': 0,
    'num.network.threads': 2,
    'num.io.threads': 2,
    'log.cleaner.enable': 'false',
  }
}

function saslProperties(made: Made, options: KafkaOptions): Record<string, string | number> {
  const { users, pki } = made
  const { oauth, maxReauthMs } = options
  const plain = Object.entries(users).map(([user, password]) => `user_${user}="${password}"`)
  const scram = 'org.apache.kafka.common.security.scram.ScramLoginModule required;'
  const lines: Record<string, string | number> = {
    'listener.name.sasl.sasl.enabled.mechanisms': `PLAIN,SCRAM-SHA-256,SCRAM-SHA-512${oauth ? ',OAUTHBEARER' : ''}`,
    'listener.name.sasl.plain.sasl.jaas.config': `org.apache.kafka.common.security.plain.PlainLoginModule required ${plain.join(' ')};`,
    'listener.name.sasl.scram-sha-256.sasl.jaas.config': scram,
    'listener.name.sasl.scram-sha-512.sasl.jaas.config': scram,
  }
  if (maxReauthMs !== undefined) lines['connections.max.reauth.ms'] = maxReauthMs
  if (oauth === undefined) return lines
  const prefix = 'listener.name.sasl.oauthbearer'
  // The trust for an https: JWKS is a JAAS option; the listener's own TLS settings are not asked. As soon as there is any option,
  // the module also wants a subject for the broker's own log-in, which nothing here uses and no validator would accept.
  const ca = oauth.jwksCaFile ?? pki.ca.certificateFile
  const trust = path.isAbsolute(oauth.jwks)
    ? ''
    : ` ssl.truststore.type="PEM" ssl.truststore.location="${ca}" unsecuredLoginStringClaim_sub="broker"`
  return {
    ...lines,
    [`${prefix}.sasl.jaas.config`]: `org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required${trust};`,
    [`${prefix}.sasl.server.callback.handler.class`]: 'org.apache.kafka.common.security.oauthbearer.OAuthBearerValidatorCallbackHandler',
    [`${prefix}.sasl.oauthbearer.jwks.endpoint.url`]: jwksUrl(oauth),
    [`${prefix}.sasl.oauthbearer.expected.issuer`]: oauth.issuer,
    [`${prefix}.sasl.oauthbearer.expected.audience`]: oauth.audience,
  }
}

function jwksUrl(oauth: KafkaOAuth): string {
  return path.isAbsolute(oauth.jwks) ? pathToFileURL(oauth.jwks).href : oauth.jwks
}

function jvmArguments(jars: string, options: KafkaOptions): string[] {
  const { oauth, heapMegabytes = 768 } = options
  const logging = {
    defaultLogLevel: 'warn',
    showDateTime: 'true',
    dateTimeFormat: 'HH:mm:ss.SSS',
    // What a test waits for, and what it looks for when something was refused.
    'log.kafka.server.KafkaRaftServer': 'info',
    'log.org.apache.kafka.common.network.Selector': 'info',
    'log.kafka.authorizer.logger': 'info',
  }
  return [
    `-Xmx${heapMegabytes}m`,
    // Started for a few seconds' work: the quick compiler and the simple collector win on two cores.
    '-XX:+UseSerialGC',
    '-XX:TieredStopAtLevel=1',
    '-Djava.awt.headless=true',
    ...Object.entries(logging).map(([key, value]) => `-Dorg.slf4j.simpleLogger.${key}=${value}`),
    // Since 4.0 a broker fetches no key set from a place that was not allowed when it started.
    ...(oauth ? [`-Dorg.apache.kafka.sasl.oauthbearer.allowed.urls=${jwksUrl(oauth)}`] : []),
    '-cp',
    path.join(jars, '*'),
  ]
}

/** As Kafka makes them itself: one that begins with a dash would be taken for an option. */
function clusterId(): string {
  const bytes = randomBytes(16)
  bytes[0] = (bytes[0] ?? 0) & 0x7f
  return bytes.toString('base64url')
}
