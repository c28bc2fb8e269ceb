import { generateKeyPairSync } from 'node:crypto'
import { client, resource, serve, type Handler, type Principal } from '@portcullis/http'
import { developmentTls } from '@portcullis/http/development'
import { issue } from '@portcullis/jwt'
import { describe, expect, it } from 'vitest'
import { policyFrom, policyFromToml } from './index.ts'

const issuer = 'https://sts.example'
const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
const bearer = async (scope: string) =>
  `Bearer ${await issue({ issuer, audience: 'orders', subject: 'alice', claims: { scope }, key: { privateKey } })}`

const data = `
authenticate = "staff"
scopes = "orders:read"

[mechanisms.staff.jwt]
issuer = "${issuer}"
audience = "orders"
keys = { publicKey = { jwk = ${toml(publicKey.export({ format: 'jwk' }) as Record<string, string>)} } }

[services."/orders".resources."POST /:id"]
scopes = [["orders:read"], ["orders:write"]]

[services."/health"]
authenticate = "everyone"
`

function toml(table: Record<string, string>): string {
  return `{ ${Object.entries(table)
    .map(([key, value]) => `${key} = "${value}"`)
    .join(', ')} }`
}

describe('a policy out of data in a listener', () => {
  it('needs no glue', async () => {
    const handler: Handler<Principal> = (_request, principal, { parameters }) => Response.json([principal.subject, parameters['id'] ?? ''])
    const handlers = { '/orders': { 'GET /:id': handler, 'POST /:id': handler } }
    const tls = await developmentTls()
    await using policy = await policyFromToml(data.replace(/\n\[services."\/health"\][^[]*/, ''), { services: handlers })
    await using listener = await serve({ tls, port: 0, guard: policy.guard, services: policy.routes(resource, handlers) })
    const call = await client({ tls: tls.client })
    const ask = async (method: string, authorization?: string) => {
      const response = await call(`${listener.origin}/orders/7`, { method, headers: authorization === undefined ? {} : { authorization } })
      return [response.status, response.status === 200 ? await response.json() : undefined]
    }
    expect(await ask('GET', await bearer('orders:read'))).toEqual([200, ['alice', '7']])
    expect(await ask('POST', await bearer('orders:read'))).toEqual([403, undefined])
    expect(await ask('POST', await bearer('orders:write orders:read'))).toEqual([200, ['alice', '7']])
    expect(await ask('GET')).toEqual([401, undefined])
    expect(await ask('DELETE')).toEqual([401, undefined])
    call.close()
  })

  it('opens a service only where code names it', async () => {
    const open: Handler = (_request, principal) => Response.json(principal.kind)
    const handlers = { '/orders': { 'POST /:id': open }, '/health': { 'GET /': open } }
    const tls = await developmentTls()
    await using policy = await policyFromToml(data, { services: handlers, anonymous: ['services./health.authenticate'] })
    await using listener = await serve({ tls, port: 0, guard: policy.guard, services: policy.routes(resource, handlers) })
    const call = await client({ tls: tls.client })
    const response = await call(`${listener.origin}/health`)
    expect([response.status, await response.json()]).toEqual([200, 'anonymous'])
    expect((await call(`${listener.origin}/orders/1`, { method: 'POST' })).status).toBe(401)
    call.close()
  })

  it('proves clients by their certificates, with the bundle of the listener out of code', async () => {
    const tls = await developmentTls({ clientCertificates: 'accept' })
    const certified = {
      authenticate: [['device'], ['staff']],
      mechanisms: {
        device: { clientCertificate: { issuers: { development: { by: 'dns', principals: { 'press.localhost': ['orders:read'] } } } } },
        staff: { jwt: { issuer, audience: 'orders', keys: { publicKey: { jwk: publicKey.export({ format: 'jwk' }) } } } },
      },
      scopes: 'orders:read',
    }
    await using policy = await policyFrom(certified, { inCode: { 'mechanisms.device.clientCertificate.tls': tls.server } })
    await using listener = await serve({ tls, port: 0, guard: policy.guard }, (_request, principal) => Response.json(principal.subject))
    const ask = async (name: string | undefined, authorization?: string) => {
      using call = await client({ tls: name === undefined ? tls.client : await tls.clientFor(name) })
      return (await call(listener.origin, { headers: authorization === undefined ? {} : { authorization } })).status
    }
    expect(await ask('press', await bearer('x'))).toBe(200)
    expect(await ask('press')).toBe(401)
    expect(await ask('lathe', await bearer('orders:read'))).toBe(401)
    expect(await ask(undefined, await bearer('orders:read'))).toBe(401)
  })
})
