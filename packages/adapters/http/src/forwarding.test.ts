import { generateKeyPairSync } from 'node:crypto'
import { allOf, forTargets, guard, secret, type DelegatedSource, type Guard, type Policy, type Principal } from '@portcullis/core'
import { createIssuer, jwt } from '@portcullis/jwt'
import { developmentTls, type DevelopmentTls } from '@portcullis/tls/development'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { client, forwarding, json, serve, type Listener } from './index.ts'
import { ask, passwords, tokens } from './service.test-support.ts'

let tls: DevelopmentTls
const open: { close(): unknown }[] = []

beforeAll(async () => {
  tls = await developmentTls()
})
afterEach(() => Promise.all(open.splice(0).map((one) => one.close())))
afterAll(() => tls.close())

/** The service behind: says whom it saw. */
async function behind(policy: Guard<Principal>): Promise<Listener> {
  const listener = await serve({ tls, guard: policy, port: 0 }, (request, principal) =>
    json({ behind: principal.subject, issuer: principal.issuer, scheme: request.headers.get('authorization')?.split(' ')[0] }),
  )
  open.push({ close: () => listener.close({ graceMs: 0 }) })
  return listener
}

/** The service in front: calls on behalf of its caller. */
async function inFront(authenticate: Policy, credentials: DelegatedSource, target: string): Promise<Listener> {
  const call = await client({ tls: tls.client, credentials })
  const listener = await serve({ tls, guard: guard({ authenticate }), port: 0 }, async (_request, principal) => {
    const answer = await call(target, { onBehalfOf: principal }).catch((error: unknown) => error as { readonly code: string })
    return 'code' in answer ? json({ code: answer.code }) : json(await answer.json())
  })
  open.push({ close: () => listener.close({ graceMs: 0 }) }, call)
  return listener
}

const basicOf = (name: string): Record<string, string> => ({ authorization: `Basic ${Buffer.from(`${name}:secret`).toString('base64')}` })
const bearerOf = (token: string): Record<string, string> => ({ authorization: `Bearer ${token}` })
const seen = async (listener: Listener, headers: Record<string, string>): Promise<unknown> =>
  JSON.parse((await ask(listener.port, tls.client, { headers })).text)

describe('a call on behalf of a caller', () => {
  it('forwards Basic as Basic, each caller’s own, however many come at once', async () => {
    const stock = await behind(guard({ authenticate: passwords }))
    const { authenticate, credentials } = forwarding(passwords, { kind: 'basic', targets: [stock.origin] })
    const shop = await inFront(authenticate, credentials, stock.origin)
    const names = Array.from({ length: 12 }, (_, at) => `user-${at}`)
    const all = await Promise.all(names.map((name) => seen(shop, basicOf(name))))
    expect(all).toEqual(names.map((name) => ({ behind: name, issuer: 'users', scheme: 'Basic' })))
  })

  it('forwards Bearer as Bearer', async () => {
    const stock = await behind(guard({ authenticate: tokens }))
    const { authenticate, credentials } = forwarding(tokens, { kind: 'bearer', targets: [stock.origin] })
    const shop = await inFront(authenticate, credentials, stock.origin)
    expect(await seen(shop, bearerOf('alice'))).toEqual({ behind: 'alice', issuer: 'tests', scheme: 'Bearer' })
    expect((await ask(shop.port, tls.client, { headers: bearerOf('expired') })).status).toBe(401)
  })

  it('issues a JWT for the subject of a caller who came with Basic', async () => {
    const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
    const issuer = createIssuer({
      issuer: 'https://shop.localhost',
      audience: 'stock',
      key: { privateKey, algorithm: 'ES256' },
      expiresInSeconds: 60,
    })
    const stock = await behind(
      guard({ authenticate: jwt({ issuer: 'https://shop.localhost', audience: 'stock', keys: { publicKey, algorithms: ['ES256'] } }) }),
    )
    const check = forTargets('reissued', [stock.origin])
    const reissued: DelegatedSource = async (request) => {
      check(request)
      const { token, expiresAt } = await issuer.issueWithExpiry({ subject: request.onBehalfOf.subject })
      return { credential: { kind: 'bearer', carrier: 'authorization', token: secret(token) }, expiresAt }
    }
    const shop = await inFront(passwords, reissued, stock.origin)
    expect(await seen(shop, basicOf('carol'))).toEqual({ behind: 'carol', issuer: 'https://shop.localhost', scheme: 'Bearer' })
  })

  it('sends nothing to a target that was not named', async () => {
    const stock = await behind(guard({ authenticate: tokens }))
    const { authenticate, credentials } = forwarding(tokens, { kind: 'bearer', targets: ['https://elsewhere.example'] })
    expect(await seen(await inFront(authenticate, credentials, stock.origin), bearerOf('alice'))).toEqual({ code: 'ERR_SOURCE_TARGET' })
  })

  it('has nothing for a caller who came in otherwise', async () => {
    const stock = await behind(guard({ authenticate: tokens }))
    const { credentials } = forwarding(tokens, { kind: 'bearer', targets: [stock.origin] })
    expect(await seen(await inFront(passwords, credentials, stock.origin), basicOf('carol'))).toEqual({ code: 'ERR_HTTP_CALLER_UNKNOWN' })
  })

  it('finds the factor that it can forward', async () => {
    const stock = await behind(guard({ authenticate: passwords }))
    const { authenticate, credentials } = forwarding(passwords, { kind: 'basic', targets: [stock.origin] })
    const keyed = await inFront(allOf(authenticate), credentials, stock.origin)
    expect(await seen(keyed, basicOf('carol'))).toMatchObject({ behind: 'carol' })
  })

  it('gives up when the service behind refuses', async () => {
    const stock = await behind(guard({ authenticate: tokens }))
    const { authenticate, credentials } = forwarding(passwords, { kind: 'basic', targets: [stock.origin] })
    expect(await seen(await inFront(authenticate, credentials, stock.origin), basicOf('carol'))).toMatchObject({ status: 401 })
  })

  it('is refused without a caller in plain JavaScript too', async () => {
    const { credentials } = forwarding(tokens, { kind: 'bearer', targets: ['https://stock.example'] })
    const call = await client({ credentials })
    await expect((call as unknown as (url: string) => Promise<Response>)('https://stock.example')).rejects.toMatchObject({
      code: 'ERR_CALLER_MISSING',
    })
    call.close()
  })

  it.each([
    { kind: 'dpop', targets: ['https://a.example'] },
    { kind: 'basic', targets: [] },
    { kind: 'basic' },
    { kind: 'basic', target: ['https://a.example'] },
  ])('is not set up by %o', (options) => {
    expect(() => forwarding(tokens, options as never)).toThrow(expect.objectContaining({ family: 'configuration' }))
  })
})
