import { existsSync } from 'node:fs'
import path from 'node:path'
import { type Issuer, createIssuer } from './issuer.ts'
import { type Kafka, kafkaOf, startKafka } from './kafka.ts'
import { withLock } from './lock.ts'
import { type Nats, natsOf, startNats } from './nats.ts'
import { type Pki, createPki, openPki } from './pki.ts'
import { type Postgres, postgresOf, startPostgres } from './postgres.ts'
import { type Rabbitmq, rabbitmqOf, startRabbitmq } from './rabbitmq.ts'
import { type Redis, redisOf, startRedis } from './redis.ts'
import type { Running } from './server.ts'
import { type Slapd, slapdOf, startSlapd } from './slapd.ts'
import { type Stan, stanOf, startStan } from './stan.ts'

interface Instances {
  slapd: Slapd
  redis: Redis
  postgres: Postgres
  rabbitmq: Rabbitmq & { issuer: Issuer }
  nats: Nats
  kafka: Kafka & { issuer: Issuer }
  stan: Stan
}

export type ServerName = keyof Instances

/** A server that others use too: everything but what would take it away from them. */
export type Shared<Name extends ServerName> = Omit<Instances[Name], keyof Running | 'reload'>

/**
 * The one configuration that each shared server has. Kafka and RabbitMQ also take tokens of the run's issuer, for the audience
 * `kafka` or `rabbitmq`; their users are in the facts. All certificates of a run come from one authority.
 */
export const servers: {
  [Name in ServerName]: { start(runDirectory: string): Promise<Running>; open(facts: never): Shared<Name> }
} = {
  slapd: { start: async (run) => startSlapd({ pki: await pkiOf(run) }), open: slapdOf },
  redis: { start: async (run) => startRedis({ pki: await pkiOf(run) }), open: redisOf },
  postgres: { start: async (run) => startPostgres({ pki: await pkiOf(run) }), open: postgresOf },
  nats: { start: async (run) => startNats({ pki: await pkiOf(run), jetstream: true, websocket: true }), open: natsOf },
  stan: { start: async (run) => startStan({ pki: await pkiOf(run) }), open: stanOf },
  rabbitmq: {
    start: async (run) => {
      const issuer = issuerOf(run)
      const oauth2 = { resourceServerId: 'rabbitmq', signingKeys: { [issuer.kid]: issuer.publicKey } }
      return Object.assign(await startRabbitmq({ pki: await pkiOf(run), oauth2 }), { issuer })
    },
    open: (facts: Rabbitmq & { issuer: Issuer }) => ({ ...rabbitmqOf(facts), issuer: createIssuer(facts.issuer) }),
  },
  kafka: {
    start: async (run) => {
      const issuer = issuerOf(run)
      const users = { alice: 'alice-secret', bob: 'bob-secret' }
      const oauth = { jwks: issuer.jwksFile, issuer: issuer.issuer, audience: 'kafka' }
      return Object.assign(await startKafka({ pki: await pkiOf(run), users, oauth }), { issuer })
    },
    open: (facts: Kafka & { issuer: Issuer }) => ({ ...kafkaOf(facts), issuer: createIssuer(facts.issuer) }),
  },
}

/** Reads back what a keeper wrote down, with its methods. */
export function openShared<Name extends ServerName>(name: Name, json: string): Shared<Name> {
  const facts = JSON.parse(json) as { pki: Pki }
  return servers[name].open({ ...facts, pki: openPki(facts.pki.directory) } as never)
}

async function pkiOf(runDirectory: string): Promise<Pki> {
  const directory = path.join(runDirectory, 'pki')
  return withLock(path.join(runDirectory, 'pki.lock'), 20_000, async () =>
    existsSync(directory) ? openPki(directory) : createPki({ directory }),
  )
}

function issuerOf(runDirectory: string): Issuer {
  return createIssuer({ directory: path.join(runDirectory, 'issuer') })
}
