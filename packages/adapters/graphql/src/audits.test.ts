import { serverAudits } from 'graphql-http'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { client, type Client } from '@portcullis/http'
import { open, server, tls } from './scene.test-support.ts'
import { secret } from './index.ts'

let call: Client

beforeAll(async () => {
  await open()
  call = await client({
    tls: tls.client,
    credentials: () => ({ credential: { kind: 'bearer', carrier: 'authorization', token: secret('alice') } }),
  })
})
afterAll(async () => {
  call.close()
  await server.close({ graceMs: 0 })
})

// The audits of the working group's package "graphql-http", over TLS and with a credential.
describe('GraphQL over HTTP', () => {
  const audits = serverAudits({ url: () => server.url, fetchFn: (url: string, init: RequestInit) => call(url, init) })

  it('has audits', () => expect(audits.length).toBeGreaterThan(50))

  it.each(audits.map((audit) => [`${audit.id} ${audit.name}`, audit] as const))('%s', async (_, audit) => {
    const result = await audit.fn()
    if (result.status !== 'ok') expect({ level: result.status, reason: result.reason }).toMatchObject({ level: 'notice' })
  })
})
