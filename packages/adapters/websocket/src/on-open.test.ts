import { guard } from '@portcullis/core'
import { developmentTls, type DevelopmentTls } from '@portcullis/tls/development'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { connect, serve, type WebSocketClient, type WebSocketListener } from './index.ts'
import { bearers, tokens } from './service.test-support.ts'

let tls: DevelopmentTls
let listener: WebSocketListener
let connections = 0

beforeAll(async () => {
  tls = await developmentTls()
})
beforeEach(async () => {
  connections = 0
  listener = await serve({ tls, guard: guard({ authenticate: tokens() }), port: 0 }, () => void connections++)
})
afterEach(() => listener.close())
afterAll(() => tls.close())

const thrown = new Error('cannot subscribe')
const opening = (onOpen: () => void): Promise<WebSocketClient> =>
  connect({
    url: listener.url,
    tls: tls.client,
    credentials: bearers('alice').source,
    reconnect: { initialMs: 5, maxMs: 5 },
    onMessage: () => undefined,
    onOpen,
  })

describe('an onOpen that throws', () => {
  it('the first time leaves no connection, and is what connect rejects with', async () => {
    await expect(
      opening(() => {
        throw thrown
      }),
    ).rejects.toBe(thrown)
    await expect.poll(() => listener.sockets.size).toBe(0)
    expect(connections).toBe(1)
  })

  it('later ends the client, which opens no second connection beside it', async () => {
    let opens = 0
    const client = await opening(() => {
      if (++opens > 1) throw thrown
    })
    await expect.poll(() => listener.sockets.size).toBe(1)
    for (const socket of listener.sockets) socket.terminate()
    expect(await client.ended).toMatchObject({ code: 'ERR_WEBSOCKET_HANDLER_FAILED', cause: thrown })
    await expect.poll(() => listener.sockets.size).toBe(0)
    await new Promise((resolve) => setTimeout(resolve, 60))
    expect([opens, connections]).toEqual([2, 2])
  })
})
