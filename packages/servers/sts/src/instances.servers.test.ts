import { readFileSync } from 'node:fs'
import { startRedis, useServer } from '@portcullis/test-servers'
import { secret } from '@portcullis/core'
import { postgresState } from '@portcullis/sts/postgres'
import { redisState } from '@portcullis/sts/redis'
import type { Client } from 'pg'
// The package itself extends what it takes for a class, which it is not under the conditions of this runner.
// @ts-expect-error The types know only the package.
import PostgresClient from 'pg/lib/client.js'
import { createClient } from 'redis'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { killWhileBusy, startInstance, type Instance, type InstanceState } from './instances.test-support.ts'
import { dpopProof, proofKey, scene, shopSecret } from './service.test-support.ts'
import { describeState } from './state/stores.test-support.ts'
import { generateKeyPairSync } from 'node:crypto'

const races = 1_000
// How many logins race side by side: enough that the two requests of each meet others on the way.
const lanes = 8

async function redisFacts(): Promise<Extract<InstanceState, { kind: 'redis' }>> {
  const redis = await useServer('redis')
  const { url, username: user = '', password = '', pki } = redis
  return { kind: 'redis', url, user, password, prefix: await redis.namespace(), caFile: pki.ca.certificateFile }
}

async function postgresFacts(): Promise<Extract<InstanceState, { kind: 'postgres' }>> {
  const postgres = await useServer('postgres')
  const { port, username: user, password, pki } = postgres
  return { kind: 'postgres', port, user, password, database: await postgres.namespace(), caFile: pki.ca.certificateFile }
}

describeState('redis', async () => {
  const { url, user, password, prefix, caFile } = await redisFacts()
  const socket = { tls: true as const, ca: readFileSync(caFile, 'utf8') }
  const clients = [
    createClient({ url, username: user, password, socket }),
    createClient({ url, username: user, password, socket }),
  ] as const
  await Promise.all(clients.map((client) => client.connect()))
  const [one, two] = clients
  return {
    states: [
      redisState({ prefix, command: (command) => one.sendCommand([...command]) }),
      redisState({ prefix, command: (command) => two.sendCommand([...command]) }),
    ],
    close: async () => void (await Promise.all(clients.map((client) => client.close()))),
  }
})

describeState('postgres', async () => {
  const { port, user, password, database, caFile } = await postgresFacts()
  const options = { host: 'localhost', port, user, password, database, ssl: { ca: readFileSync(caFile, 'utf8') } }
  const clients = [1, 2].map(() => new (PostgresClient as unknown as typeof Client)(options)) // See the import.
  await Promise.all(clients.map((client) => client.connect()))
  // At the same moment, as two instances start.
  const [one, two] = await Promise.all(clients.map((pool) => postgresState({ pool })))
  if (one === undefined || two === undefined) throw new Error('no state')
  return { states: [one, two], close: async () => void (await Promise.all(clients.map((client) => client.end()))) }
})

it('a table has a name that needs no quotes', async () => {
  await expect(postgresState({ pool: { query: () => Promise.reject(new Error('not asked')) }, table: 'a"; drop' })).rejects.toThrow(/table/)
})

describe.each([
  ['redis', redisFacts],
  ['postgres', postgresFacts],
] as const)('two instances on one %s', (_name, factsOf) => {
  let facts: InstanceState
  let one: Instance
  let two: Instance
  beforeAll(async () => {
    facts = await factsOf()
    ;[one, two] = await Promise.all([startInstance(facts), startInstance(facts)])
  })
  afterAll(() => Promise.all([one.kill(), two.kill()]))

  it('are one service: introspection, refresh, reuse and revocation of the other’s tokens', async () => {
    const first = await one.login()
    expect(await two.isActive(first.access)).toBe(true)
    const refreshed = await two.refresh(first.refresh)
    expect(refreshed.status).toBe(200)
    expect(await one.isActive(String(refreshed.body['access_token']))).toBe(true)
    expect((await one.refresh(first.refresh)).body).toMatchObject({ error: 'invalid_grant' })
    expect(await two.isActive(String(refreshed.body['access_token']))).toBe(false)
    const second = await two.login()
    expect((await one.revoke(second.refresh)).status).toBe(200)
    expect(await two.isActive(second.access)).toBe(false)
    expect((await two.refresh(second.refresh)).status).toBe(400)
  })

  it(`let a refresh token that both get at the same moment succeed at most once, ${races} times over`, { timeout: 300_000 }, async () => {
    let started = 0
    const successes: number[] = []
    const race = async (): Promise<void> => {
      while (started++ < races) {
        const { refresh, access } = await one.login()
        const answers = await Promise.all([one.refresh(refresh), two.refresh(refresh)])
        for (const { status, body } of answers) if (status !== 200) expect(body).toMatchObject({ error: 'invalid_grant' })
        const good = answers.filter(({ status }) => status === 200)
        successes.push(good.length)
        // The other request was a reuse: nobody can tell which of the two was the thief, so both lose the login.
        for (const { body } of good) {
          const [active, again] = await Promise.all([
            two.isActive(String(body['access_token'])),
            one.refresh(String(body['refresh_token'])),
          ])
          expect([active, again.status]).toEqual([false, 400])
        }
        expect(await one.isActive(access)).toBe(false)
      }
    }
    await Promise.all(Array.from({ length: lanes }, race))
    expect(successes).toHaveLength(races)
    expect(Math.max(...successes)).toBe(1)
  })

  it('take a proof of possession that both get at the same moment once', async () => {
    const key = proofKey()
    for (let round = 0; round < 50; round++) {
      const dpop = await dpopProof(key, 'https://sts.localhost/oauth2/token')
      const form = { grant_type: 'client_credentials', audience: 'orders' }
      const answers = await Promise.all([one.token(form, { dpop }), two.token(form, { dpop })])
      expect(answers.filter(({ status }) => status === 200)).toHaveLength(1)
    }
  })

  it('lose nothing that was answered when one is killed in the middle of it', { timeout: 120_000 }, async () => {
    const victim = await startInstance(facts)
    const { access, refresh } = await killWhileBusy(victim, 16, 300)
    expect(access.length).toBeGreaterThanOrEqual(300)
    for (const token of access) expect(await two.isActive(token)).toBe(true)
    for (const token of refresh) expect((await two.refresh(token)).status).toBe(200)
  })
})

describe('a state that is down', () => {
  it('makes the service answer 503 within a bound', { timeout: 60_000 }, async () => {
    const redis = await startRedis()
    const { url, username = '', password = '', pki } = redis
    const client = createClient({ url, username, password, socket: { tls: true, ca: readFileSync(pki.ca.certificateFile, 'utf8') } })
    client.on('error', () => undefined)
    await client.connect()
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
    await using at = await scene({
      state: redisState({ command: (command) => client.sendCommand([...command]) }),
      keys: [{ privateKey }],
      audiences: { stock: { scopes: ['read'], format: 'opaque' } },
      clients: [{ id: 'shop', secret: secret(shopSecret), grants: ['client_credentials'], audiences: ['stock'], scopes: ['read'] }],
    })
    const form = { grant_type: 'client_credentials' }
    expect((await at.token(form)).status).toBe(200)
    await redis.stop()
    const began = performance.now()
    const answer = await at.token(form)
    expect(answer).toMatchObject({ status: 503, body: { error: 'temporarily_unavailable' } })
    expect(performance.now() - began).toBeLessThan(15_000)
    expect(at.events.at(-1)).toMatchObject({ type: 'failed' })
    client.destroy()
  })
})
