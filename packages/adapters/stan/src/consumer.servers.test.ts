import { setTimeout as wait } from 'node:timers/promises'
import { secret, type AuditEvent, type CredentialSource } from '@portcullis/core'
import { startStan } from '@portcullis/test-servers'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { plaintext, withoutIdentity } from './danger.ts'
import { consumer, producer, type ConsumerOptions, type StanConnection } from './index.ts'
import { codes, Scene, warehouse } from './stan.test-support.ts'

let scene: Scene
beforeAll(async () => {
  scene = new Scene(await startStan())
}, 60_000)
afterAll(() => scene?.[Symbol.asyncDispose]())

describe('a consumer', () => {
  it('keeps its place, and shares it with its group', async () => {
    const { channel, dead, clientId, durable } = scene.names()
    await using shop = await producer({ client: await scene.open(), identity: scene.sign() })
    const heard: string[] = []
    const options = { client: await scene.open(), channel, durable, guard: warehouse(), deadLetter: dead }
    const open = (name: string, queue?: string) =>
      consumer({ ...options, clientId: name, ...(queue !== undefined && { queue }) }, ({ content }) => void heard.push(content.toString()))
    await shop.send({ channel, content: 'before' })
    const first = await open(clientId)
    await expect.poll(() => heard).toEqual(['before'])
    await first.close()
    await shop.send({ channel, content: 'meanwhile' })
    const second = await open(clientId)
    await expect.poll(() => heard).toEqual(['before', 'meanwhile'])
    await second.close()
    heard.length = 0
    const group = [await open(`${clientId}-1`, 'group'), await open(`${clientId}-2`, 'group')]
    const sent = Array.from({ length: 20 }, (_, at) => `m${at}`)
    for (const content of sent) await shop.send({ channel, content })
    await expect.poll(() => heard.toSorted()).toEqual(['before', 'meanwhile', ...sent].toSorted())
    for (const one of group) await one.close()
  })

  it('begins at what is new where that is said', async () => {
    const { channel, dead, clientId, durable } = scene.names()
    await using shop = await producer({ client: await scene.open(), identity: scene.sign() })
    await shop.send({ channel, content: 'before' })
    const heard: string[] = []
    await using listening = await consumer(
      { client: await scene.open(), clientId, channel, durable, guard: warehouse(), deadLetter: dead, startAt: 'new' },
      ({ content }) => void heard.push(content.toString()),
    )
    await shop.send({ channel, content: 'after' })
    await expect.poll(() => heard).toEqual(['after'])
    void listening
  })

  it('is refused at once where another has its name, or its place', async () => {
    const { channel, dead, clientId, durable } = scene.names()
    const options = { client: await scene.open(), clientId, channel, durable, guard: warehouse(), deadLetter: dead }
    await using one = await consumer(options, () => undefined)
    await expect(consumer(options, () => undefined)).rejects.toMatchObject({ code: 'ERR_STAN_CLIENT_ID' })
    const queue = { ...options, clientId: `${clientId}-2`, queue: 'q', durable: 'a:b' }
    await expect(consumer(queue, () => undefined)).rejects.toMatchObject({ code: 'ERR_STAN_SUBSCRIPTION' })
    void one
  })

  it('is not made without what it needs', async () => {
    const { channel, dead, clientId, durable } = scene.names()
    const options = { client: await scene.open(), clientId, channel, durable, guard: warehouse(), deadLetter: dead }
    const wrongs: Partial<Record<keyof ConsumerOptions, unknown>>[] = [
      { channel: 'orders.*' },
      { deadLetter: channel },
      { deadLetter: 'dead.>' },
      { prefetch: 0 },
      { ackWaitSeconds: 0 },
      { startAt: 'last' },
      { clientId: 'a b' },
      { queue: '' },
    ]
    for (const wrong of wrongs)
      await expect(consumer({ ...options, ...wrong } as never, () => undefined)).rejects.toMatchObject({ code: 'ERR_OPTION_INVALID' })
    for (const absent of ['guard', 'durable', 'deadLetter', 'clientId'])
      await expect(consumer({ ...options, [absent]: undefined } as never, () => undefined)).rejects.toMatchObject({
        family: 'configuration',
      })
  })

  it('and a producer outlive the rotation of their credential, again and again, and lose nothing', { timeout: 60_000 }, async () => {
    const users = Array.from({ length: 5 }, (_, at) => `{ user: u${at}, password: "p${at}" }`)
    const config = `authorization { users = [ { user: user, password: password }, ${users.join(', ')} ] }`
    await using own = new Scene(await startStan({ config, streaming: 'username: user\npassword: password' }))
    const { channel, dead, clientId, durable } = own.names()
    let [asked, connections] = [0, 0]
    const credentials: CredentialSource = () => {
      const at = asked++ % users.length
      return {
        credential: { kind: 'basic', carrier: 'connect', username: `u${at}`, password: secret(`p${at}`) },
        expiresAt: new Date(Date.now() + 1_000),
      }
    }
    const made = await own.open({ credentials })
    const open = (name: string) => {
      connections++
      return made.open(name)
    }
    const heard: string[] = []
    await using listening = await consumer(
      { client: { ...made, open }, clientId, channel, durable, guard: warehouse(), deadLetter: dead, ackWaitSeconds: 1 },
      async ({ content }) => {
        // Some are under way while the connection is replaced.
        await wait(20)
        heard.push(content.toString())
      },
    )
    await using shop = await producer({ client: { ...made, open }, identity: own.sign(), maxAttempts: 20 })
    const sent: string[] = []
    const until = Date.now() + 6_000
    // Several at once, so that some are under way while others come.
    const sending = async (by: number): Promise<void> => {
      for (let at = 0; Date.now() < until; at++) {
        await shop.send({ channel, content: `${by}/${at}` })
        sent.push(`${by}/${at}`)
      }
    }
    await Promise.all([1, 2, 3, 4].map(sending))
    await expect.poll(() => new Set(heard).size, { timeout: 15_000 }).toBe(sent.length)
    await wait(1_500)
    expect([heard.length, await own.stored(dead, 0)]).toEqual([sent.length, []])
    expect(connections).toBeGreaterThanOrEqual(8)
    void listening
  })

  it('and a producer whose connection is replaced wait for the end of the last, and acknowledge on the next', async () => {
    const { channel, dead, clientId, durable } = scene.names()
    const made = await scene.open()
    const due = new Map<string, () => void>()
    const connections: string[] = []
    /** Due when the test says so, and slow to close. */
    const open = async (name: string): Promise<StanConnection> => {
      const own = await made.open(name)
      connections.push(name)
      const replaced = Promise.withResolvers<void>()
      due.set(name, replaced.resolve)
      const close = async (): Promise<void> => {
        await wait(300)
        await own.close()
      }
      return { ...own, due: replaced.promise, close }
    }
    const client = { ...made, open }
    const handling = Promise.withResolvers<void>()
    const heard: string[] = []
    await using listening = await consumer(
      { client, clientId, channel, durable, guard: warehouse(), deadLetter: dead, prefetch: 1 },
      async ({ content }) => {
        heard.push(content.toString())
        if (content.toString() === 'slow') await handling.promise
      },
    )
    await using shop = await producer({ client, identity: scene.sign(), clientId: `${clientId}-shop` })
    await shop.send({ channel, content: 'slow' })
    due.get(`${clientId}-shop`)?.()
    await wait(10)
    await shop.send({ channel, content: 'next' })
    await expect.poll(() => heard).toEqual(['slow'])
    due.get(clientId)?.()
    await expect.poll(() => connections.filter((name) => name === clientId).length).toBe(2)
    // The server hands it out again, to the new connection.
    await wait(300)
    handling.resolve()
    await expect.poll(() => heard, { timeout: 3_000 }).toEqual(['slow', 'next'])
    void listening
  })

  it('and a producer outlive a server that is away; a credential that is refused meanwhile is the end', { timeout: 60_000 }, async () => {
    const own = new Scene(await startStan())
    try {
      const { channel, dead, clientId, durable } = own.names()
      let password = 'password'
      const credentials: CredentialSource = () => ({
        credential: { kind: 'basic', carrier: 'connect', username: 'user', password: secret(password) },
      })
      const events: AuditEvent[] = []
      const heard: string[] = []
      const listening = await consumer(
        {
          client: await own.open({ credentials }),
          clientId,
          channel,
          durable,
          guard: warehouse((event) => events.push(event)),
          deadLetter: dead,
        },
        ({ content }) => void heard.push(content.toString()),
      )
      await using shop = await producer({ client: await own.open(), identity: own.sign(), maxAttempts: 20 })
      await shop.send({ channel, content: 'before' })
      await expect.poll(() => heard).toEqual(['before'])
      await own.server.stop()
      const sending = shop.send({ channel, content: 'after' })
      await own.server.restart()
      await sending
      // Its store is in memory: the first place is taken anew, and by another message.
      await expect.poll(() => heard, { timeout: 15_000 }).toEqual(['before', 'after'])
      await expect.poll(() => codes(events)).toContain('ERR_STAN_UNAVAILABLE')
      password = 'guess'
      await own.server.restart()
      await expect(listening.ended).rejects.toMatchObject({ code: 'ERR_STAN_CREDENTIAL_REFUSED' })
      // The audit trail is told in its own time.
      await expect.poll(() => codes(events.filter(({ type }) => type === 'sessionEnded'))).toEqual(['ERR_STAN_CREDENTIAL_REFUSED'])
    } finally {
      await own[Symbol.asyncDispose]()
    }
  })

  it('rejects when there is no server, after some attempts', { timeout: 40_000 }, async () => {
    const { channel, dead, clientId, durable } = scene.names()
    const away = await scene.open({ servers: 'nats://localhost:1', tls: plaintext, credentials: 'none' })
    const options = { client: away, clientId, channel, durable, guard: warehouse(), deadLetter: dead }
    await expect(consumer(options, () => undefined)).rejects.toMatchObject({ code: 'ERR_STAN_UNAVAILABLE' })
    await expect(producer({ client: away, identity: withoutIdentity, maxAttempts: 1 })).rejects.toMatchObject({
      code: 'ERR_STAN_UNAVAILABLE',
    })
  })
})
