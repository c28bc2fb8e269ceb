import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { createServer } from 'node:tls'
import { secret } from '@portcullis/core'
import { connectTls, secureServerOptions } from '@portcullis/tls'
import { developmentTls } from '@portcullis/tls/development'
import { expect, it } from 'vitest'
import { SaslClient } from '../present.ts'
import { saslOf } from './sasl.ts'

it.each([
  [0, 85_000],
  [0.5, 90_000],
  [0.9999, 95_000],
])('renews a session of 100 seconds between 85 and 95 seconds (%d)', async (random, expectedMs) => {
  const client = new SaslClient({
    mechanism: 'PLAIN',
    origin: 'kafka://localhost:9094',
    source: () => ({ credential: { kind: 'basic', carrier: 'sasl', username: 'a', password: secret('b') } }),
  })
  const tls = await developmentTls()
  const server = createServer(secureServerOptions(tls.server)).listen(0, 'localhost')
  await once(server, 'listening')
  const socket = await connectTls(tls.client, { host: 'localhost', port: (server.address() as AddressInfo).port })
  const { authenticate } = saslOf(client, () => random).sasl
  const response = { errorCode: 0, errorMessage: null, authBytes: Buffer.alloc(0), sessionLifetimeMs: 100_000n }
  const api = (_connection: unknown, _bytes: Buffer, answer: (error: null, given: typeof response) => void): void => answer(null, response)
  const told = await new Promise<number>((resolve, reject) => {
    authenticate?.('PLAIN', { socket } as never, api as never, undefined, undefined, undefined, (error, given) =>
      error ? reject(error) : resolve(Number(given?.sessionLifetimeMs)),
    )
  })
  // The library sets its timer to four fifths of what it is told.
  expect(Math.round((told * 0.8) / 100) * 100).toBe(expectedMs)
  socket.destroy()
  server.close()
})
