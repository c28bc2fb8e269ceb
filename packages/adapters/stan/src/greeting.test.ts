import { once } from 'node:events'
import { createServer, type AddressInfo } from 'node:net'
import { secret, type CredentialSource } from '@portcullis/core'
import { createPki } from '@portcullis/test-servers'
import { describe, expect, it } from 'vitest'
import { plaintext } from './danger.ts'
import { client } from './index.ts'

const trust = { pem: createPki().ca.certificate }

/** Opens a connection to somebody who says this, with all the time in the world; how it ends, and how often a credential was asked for. */
async function greetedWith(greeting: string, secure = true): Promise<{ readonly code: unknown; readonly asked: number }> {
  await using server = createServer((socket) => socket.on('error', () => undefined).write(greeting)).listen(0, 'localhost')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  let asked = 0
  const credentials: CredentialSource = () => {
    asked++
    return { credential: { kind: 'basic', carrier: 'connect', username: 'user', password: secret(`p${asked}`) } }
  }
  const own = await client({
    servers: `${secure ? 'tls' : 'nats'}://localhost:${port}`,
    clusterId: 'orders',
    tls: secure ? { side: 'client', trust } : plaintext,
    credentials: secure ? credentials : 'none',
    timeoutMs: 60_000,
  })
  const code: unknown = await own.open('one').then(
    () => 'opened',
    (error: { readonly code: unknown }) => error.code,
  )
  own.close()
  return { code, asked }
}

describe('a greeting that is none', () => {
  it.each(['INFO {\r\n', 'INFO null\r\n', 'INFO a\r\n'])('ends the attempt and not the process: %j', async (greeting) => {
    expect(await greetedWith(greeting)).toEqual({ code: 'ERR_STAN_UNAVAILABLE', asked: 1 })
    expect(await greetedWith(greeting, false)).toMatchObject({ code: 'ERR_STAN_UNAVAILABLE' })
  })

  it.each(['INFO {', '+OK'])('and no line either is not collected for ever: %j', async (start) => {
    expect(await greetedWith(start + ' '.repeat(5_000))).toMatchObject({ code: 'ERR_STAN_UNAVAILABLE' })
    expect(await greetedWith(start + ' '.repeat(5_000), false)).toMatchObject({ code: 'ERR_STAN_UNAVAILABLE' })
  })

  it.each(["-ERR 'Authorization Violation'\r\n", 'PING\r\n', 'MSG a 1 1\r\nx\r\n', '220 mail.example\r\n'])(
    'is nobody’s word in the clear, and spends no credential: %j',
    async (greeting) => {
      expect(await greetedWith(greeting)).toEqual({ code: 'ERR_STAN_UNAVAILABLE', asked: 1 })
    },
  )

  it('from a server without TLS is told apart', async () => {
    expect(await greetedWith('INFO {"server_id":"x","version":"2.9.0","proto":1,"max_payload":1000}\r\n')).toEqual({
      code: 'ERR_STAN_TLS_REQUIRED',
      asked: 1,
    })
  })
})
