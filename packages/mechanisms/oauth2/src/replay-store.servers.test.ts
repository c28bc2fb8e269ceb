import { randomUUID } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { startRedis, useServer } from '@portcullis/test-servers'
import { createClient } from 'redis'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { redisReplayStore } from './index.ts'

interface Facts {
  readonly url: string
  readonly username?: string
  readonly password?: string
  readonly pki: { readonly ca: { readonly certificateFile: string } }
}

function connect({ url, username, password, pki }: Facts) {
  const socket = { tls: true as const, ca: readFileSync(pki.ca.certificateFile, 'utf8'), reconnectStrategy: false as const }
  const client = createClient({ url, socket, ...(username !== undefined && { username }), ...(password !== undefined && { password }) })
  client.on('error', () => undefined)
  return client
}

describe('a replay store in Redis', () => {
  let clients: ReturnType<typeof connect>[] = []
  let prefix = ''
  beforeAll(async () => {
    const redis = await useServer('redis')
    prefix = await redis.namespace()
    clients = [connect(redis), connect(redis)]
    await Promise.all(clients.map((client) => client.connect()))
  })
  afterAll(() => Promise.all(clients.map((client) => client.close())))
  const stores = () => clients.map((client) => redisReplayStore({ command: (command) => client.sendCommand([...command]), prefix }))
  const forAMinute = () => ({ nowMs: Date.now(), expiresAtMs: Date.now() + 60_000 })

  it('lets one instance of several take a proof, a thousand times over', async () => {
    const [one, two] = stores()
    let taken = 0
    for (let round = 0; round < 1_000; round++) {
      const key = randomUUID()
      const answers = await Promise.all([one?.putIfAbsent(key, forAMinute()), two?.putIfAbsent(key, forAMinute())])
      taken += answers.filter((answer) => answer === true).length
    }
    expect(taken).toBe(1_000)
  })

  it('forgets a proof when its time is over', async () => {
    const [store] = stores()
    const key = randomUUID()
    const times = { nowMs: 0, expiresAtMs: 50 }
    expect(await store?.putIfAbsent(key, times)).toBe(true)
    expect(await store?.putIfAbsent(key, times)).toBe(false)
    await expect.poll(() => store?.putIfAbsent(key, times)).toBe(true)
  })

  it('cannot tell while Redis is down, and says so', async () => {
    await using redis = await startRedis()
    const client = connect(redis)
    await client.connect()
    const store = redisReplayStore({ command: (command) => client.sendCommand([...command]), timeoutMs: 300 })
    expect(await store.putIfAbsent('a', forAMinute())).toBe(true)
    redis.pause()
    await expect(store.putIfAbsent('b', forAMinute())).rejects.toMatchObject({
      code: 'ERR_DPOP_REPLAYS_UNAVAILABLE',
      family: 'unavailable',
    })
    redis.resume()
    await redis.stop()
    await expect(store.putIfAbsent('c', forAMinute())).rejects.toMatchObject({ code: 'ERR_DPOP_REPLAYS_UNAVAILABLE' })
    client.destroy()
  })

  it('cannot tell where it has no room or no right, and forgets nothing to make some', async () => {
    await using redis = await startRedis({ users: { reader: '>secret ~* &* +@read +@connection' } })
    const client = connect({ ...redis, username: 'reader', password: 'secret' })
    await client.connect()
    const store = redisReplayStore({ command: (command) => client.sendCommand([...command]) })
    await expect(store.putIfAbsent('a', forAMinute())).rejects.toMatchObject({ code: 'ERR_DPOP_REPLAYS_UNAVAILABLE' })
    client.destroy()
  })
})
