import { createHmac, generateKeyPairSync } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { apiKeys, basic, fileUserStore, memoryUserStore } from '@portcullis/auth'
import { plainTextPasswords } from '@portcullis/auth/danger'
import { guard, messageBinding, secret, type AccessRequest, type AuditEvent, type Credential } from '@portcullis/core'
import { manualClock } from '@portcullis/core/testing'
import { hashPassword } from '@portcullis/crypto'
import { denyList, issue, jwt, type IssuerSettings } from '@portcullis/jwt'
import { ldapUserStore } from '@portcullis/ldap'
import { messageSigner, signedMessages } from '@portcullis/message'
import { afterAll, describe, expect, it } from 'vitest'
import { policyFrom, policyFromToml } from './index.ts'
import { bearer, judged, request, user } from './judged.test-support.ts'

const directory = mkdtempSync(join(tmpdir(), 'portcullis-config-'))
afterAll(() => rmSync(directory, { recursive: true }))
function written(name: string, content: string): string {
  writeFileSync(join(directory, name), content)
  return name
}

const issuer = 'https://sts.example'
const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' })
const other = generateKeyPairSync('ec', { namedCurve: 'P-256' })
const publicPem = ec.publicKey.export({ type: 'spki', format: 'pem' }).toString()
const cheap = { algorithm: 'scrypt', costLog2: 13, parallelism: 10 } as const

describe('jwt', () => {
  const clock = manualClock()
  const token = (init: Partial<IssuerSettings> = {}) =>
    issue({
      issuer,
      audience: 'orders',
      subject: 'alice',
      claims: { scope: 'orders:read' },
      key: { privateKey: ec.privateKey },
      clock,
      ...init,
    })
  const attacks = async () => [
    request(),
    request(user('tom', 'secret')),
    request(bearer('opaque')),
    request(bearer('eyJ.eyJ.')),
    request(bearer(await token())),
    request(bearer(await token({ audience: 'billing' }))),
    request(bearer(await token({ issuer: 'https://other.example' }))),
    request(bearer(await token({ key: { privateKey: other.privateKey } }))),
    request(bearer(await token({ clock: manualClock(clock.now() - 3_600_000) }))),
    request(bearer(await token({ clock: manualClock(clock.now() + 3_600_000) }))),
  ]
  const verdicts = [
    'ERR_CREDENTIAL_MISSING',
    'ERR_CREDENTIAL_MISSING',
    'ERR_CREDENTIAL_MISSING',
    expect.stringMatching(/^ERR_JWT_/),
    'allow',
    'ERR_JWT_AUDIENCE_UNEXPECTED',
    'ERR_JWT_ISSUER_UNKNOWN',
    'ERR_JWT_SIGNATURE_INVALID',
    'ERR_JWT_EXPIRED',
    'ERR_JWT_NOT_YET_VALID',
  ]

  it('by a key out of a file', async () => {
    const file = written('issuer.pem', publicPem)
    const policy = await policyFromToml(
      `authenticate = "partner"
       [mechanisms.partner.jwt]
       issuer = "${issuer}"
       audience = ["orders"]
       keys = { publicKey = { pemFile = "${file}" } }`,
      { clock, directory },
    )
    const byHand = jwt({ name: 'partner', issuer, audience: ['orders'], keys: { publicKey: ec.publicKey }, clock })
    expect(await judged(policy.guard, byHand, await attacks(), clock)).toEqual(verdicts)
  })

  it('of several issuers, with demands of their own', async () => {
    const jwk = other.publicKey.export({ format: 'jwk' }) as Record<string, unknown>
    const policy = await policyFrom(
      {
        authenticate: 'staff',
        mechanisms: {
          staff: {
            jwt: {
              realm: 'shop',
              tokenCache: { maxEntries: 10 },
              issuers: [
                { issuer, audience: 'orders', keys: { publicKey: { pem: publicPem } }, claims: { azp: ['web', 'app'] } },
                { issuer: 'https://other.example', audience: 'orders', keys: [{ jwks: { keys: [jwk] } }], maxAgeSeconds: 60 },
              ],
            },
          },
        },
      },
      { clock },
    )
    const byHand = jwt({
      name: 'staff',
      realm: 'shop',
      clock,
      issuers: [
        { issuer, audience: 'orders', keys: { publicKey: ec.publicKey }, claims: { azp: ['web', 'app'] } },
        { issuer: 'https://other.example', audience: 'orders', keys: { publicKey: other.publicKey }, maxAgeSeconds: 60 },
      ],
    })
    const requests = [
      request(bearer(await token({ claims: { azp: 'web' } }))),
      request(bearer(await token({ claims: { azp: 'cli' } }))),
      request(bearer(await token({ issuer: 'https://other.example', key: { privateKey: other.privateKey } }))),
      request(bearer(await token({ issuer: 'https://other.example' }))),
    ]
    expect(await judged(policy.guard, byHand, requests, clock)).toEqual([
      'allow',
      'ERR_JWT_CLAIM_UNEXPECTED',
      'allow',
      'ERR_JWT_SIGNATURE_INVALID',
    ])
  })

  it('by a secret out of a file, the environment or the data, which is shown nowhere', async () => {
    const text = 'a-secret-of-thirty-two-characters-and-more'
    process.env['PORTCULLIS_CONFIG_TEST'] = text
    const sources = [text, secret(text), { env: 'PORTCULLIS_CONFIG_TEST' }, { file: written('secret', `${text}\n`) }]
    for (const source of sources) {
      const data = { authenticate: 's', mechanisms: { s: { jwt: { issuer, audience: 'orders', keys: { secret: source } } } } }
      const policy = await policyFrom(data, { clock, directory })
      const byHand = jwt({ name: 's', issuer, audience: 'orders', keys: { secret: secret(text) }, clock })
      const requests = [
        request(bearer(await token({ key: { secret: secret(text) } }))),
        request(bearer(await token({ key: { secret: secret(`${text}!`) } }))),
      ]
      expect(await judged(policy.guard, byHand, requests, clock)).toEqual(['allow', 'ERR_JWT_SIGNATURE_INVALID'])
    }
    const short = policyFrom({ authenticate: 's', mechanisms: { s: { jwt: { issuer, audience: 'x', keys: { secret: 'too-short' } } } } })
    await expect(short).rejects.toMatchObject({ code: 'ERR_JWT_KEY_UNUSABLE', message: expect.not.stringContaining('too-short') })
  })

  it('with what only code can say, and one object for all levels', async () => {
    let fetches = 0
    const jwks = JSON.stringify({ keys: [{ ...ec.publicKey.export({ format: 'jwk' }), alg: 'ES256' }] })
    const fetch = () => Promise.resolve(new Response(jwks, { status: ++fetches > 0 ? 200 : 500 }))
    const revocations = denyList({ clock })
    const data = {
      authenticate: 'partner',
      mechanisms: { partner: { jwt: { issuer, audience: 'orders', keys: { jwksUri: 'https://sts.example/jwks' } } } },
      services: { '/orders': { scopes: 'orders:read' }, '/admin': { authenticate: [{ use: 'partner', scopes: ['admin'] }] } },
    }
    const policy = await policyFrom(data, {
      clock,
      services: { '/orders': [], '/admin': [] },
      inCode: { 'mechanisms.partner.jwt.keys.fetch': fetch, 'mechanisms.partner.jwt.revocations': revocations },
    })
    const good = request(bearer(await token({ jwtId: 'one' })))
    expect((await policy.guard.decide(good)).outcome).toBe('allow')
    expect((await policy.at('/orders').decide(good)).outcome).toBe('allow')
    expect((await policy.at('/admin').decide(good)).code).toBe('ERR_SCOPE_INSUFFICIENT')
    expect(fetches).toBe(1)
    revocations.deny({ issuer, jwtId: 'one', until: new Date(clock.now() + 600_000) })
    expect((await policy.guard.decide(good)).code).toBe('ERR_JWT_REVOKED')
  })
})

describe('basic', () => {
  const attempts = [
    request(),
    request(bearer('x')),
    request(user('tom', 'correct horse')),
    request(user('tom', 'wrong')),
    request(user('ann', 'correct horse')),
  ]
  const verdicts = ['ERR_CREDENTIAL_MISSING', 'ERR_CREDENTIAL_MISSING', 'allow', 'ERR_USER_REFUSED', 'ERR_USER_REFUSED']

  it('over a file, whose watcher ends with the policy', async () => {
    const clock = manualClock()
    const file = written(
      'users.toml',
      `[users.tom]\npassword = "${await hashPassword('correct horse', { policy: cheap })}"\nscopes = "a, b"\n`,
    )
    const policy = await policyFrom(
      { authenticate: 'staff', mechanisms: { staff: { basic: { realm: 'orders', store: { file: { file } } } } } },
      { clock, directory },
    )
    using store = fileUserStore({ name: 'staff', file: join(directory, file), clock })
    expect(await judged(policy.guard, basic({ realm: 'orders', store }), attempts, clock)).toEqual(verdicts)
    store.close()
    expect(clock.pending).toBe(1)
    await policy.close()
    expect(clock.pending).toBe(0)
  })

  it('over users in the data, in either shape', async () => {
    const password = await hashPassword('correct horse', { policy: cheap })
    const users = [{ username: 'tom', password, scopes: ['a', 'b'] }]
    for (const shape of [users, { tom: { password, scopes: 'a, b' } }]) {
      const policy = await policyFrom({
        authenticate: 'staff',
        mechanisms: { staff: { basic: { realm: 'orders', store: { memory: { users: shape } } } } },
      })
      const byHand = basic({ realm: 'orders', store: memoryUserStore({ name: 'staff', users }) })
      const clock = manualClock()
      const said: unknown[] = []
      for (const attempt of attempts) said.push((await policy.guard.decide(attempt)).code ?? 'allow')
      expect(said).toEqual(verdicts)
      expect((await guard({ authenticate: byHand, clock }).decide(attempts[2]!)).outcome).toBe('allow')
    }
  })

  it('with a warning for legacy values in the audit trail, and plain text only where code allows it', async () => {
    const events: AuditEvent[] = []
    const digest = '@sha256:{9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08}'
    const legacy = {
      authenticate: 's',
      mechanisms: { s: { basic: { realm: 'r', store: { memory: { users: { tom: { password: digest } } } } } } },
    }
    const policy = await policyFrom(legacy, { audit: (event) => void events.push(event) })
    expect((await policy.guard.decide(request(user('tom', 'test')))).outcome).toBe('allow')
    await expect.poll(() => JSON.stringify(events)).toContain('ERR_PASSWORD_VALUE_LEGACY')

    const plain = {
      authenticate: 's',
      mechanisms: { s: { basic: { realm: 'r', store: { memory: { users: { tom: { password: 'test' } } } } } } },
    }
    const allowed = await policyFrom(plain, { inCode: { 'mechanisms.s.basic.store.memory.plainText': plainTextPasswords } })
    expect((await allowed.guard.decide(request(user('tom', 'test')))).outcome).toBe('allow')
  })

  it('over a directory that is down, and closed', async () => {
    const options = {
      name: 'directory',
      url: 'ldaps://localhost:1',
      searcher: { dn: 'cn=search,dc=example', password: 'x' },
      users: { bases: 'ou=users,dc=example' },
      groups: { bases: ['ou=groups,dc=example'] },
    }
    const policy = await policyFrom({
      authenticate: 'd',
      mechanisms: { d: { basic: { realm: 'r', store: { ldap: { ...options, tls: {} } } } } },
    })
    await using store = await ldapUserStore({ ...options, tls: { side: 'client' } })
    const asked = [request(user('tom', 'correct horse'))]
    expect(await judged(policy.guard, basic({ realm: 'r', store }), asked)).toEqual(['ERR_LDAP_UNREACHABLE'])
    await policy.close()
    expect((await policy.guard.decide(asked[0]!)).code).toBe('ERR_LDAP_CLOSED')
  })
})

describe('apiKeys', () => {
  it('with expiry', async () => {
    const clock = manualClock(Date.UTC(2026, 0, 1))
    const [billing, old] = ['pB2vQm1c7ZkXw0Tn4LrYsE', 'pB2vQm1c7ZkXw0Tn4LrYsF']
    const policy = await policyFromToml(
      `authenticate = "partners"
       [mechanisms.partners.apiKeys]
       carrier = "X-Api-Key"
       keys = [{ key = "${billing}", subject = "billing", scopes = ["a"], expiresAt = 2026-01-02T00:00:00Z }, { key = "${old}", subject = "old", expiresAt = "2025-12-31T23:00:00-01:00" }]`,
      { clock },
    )
    const byHand = apiKeys({
      name: 'partners',
      carrier: 'x-api-key',
      keys: [
        { key: billing, subject: 'billing', scopes: ['a'], expiresAt: new Date('2026-01-02T00:00:00Z') },
        { key: old, subject: 'old', expiresAt: new Date('2026-01-01T00:00:00Z') },
      ],
    })
    const key = (text: string): AccessRequest =>
      request({ kind: 'apiKey', carrier: 'header:x-api-key', name: 'x-api-key', key: secret(text) })
    const requests = [request(), key(billing), key(old), key(`${billing}x`)]
    expect(await judged(policy.guard, byHand, requests, clock)).toEqual([
      'ERR_CREDENTIAL_MISSING',
      'allow',
      'ERR_API_KEY_REFUSED',
      'ERR_API_KEY_REFUSED',
    ])
    clock.advance(86_400_000)
    expect(await judged(policy.guard, byHand, [key(billing)], clock)).toEqual(['ERR_API_KEY_REFUSED'])
  })
})

describe('signedMessages', () => {
  it('of a producer', async () => {
    const clock = manualClock()
    const options = { audience: 'warehouse', maxAgeMs: 10_000 }
    const reader = generateKeyPairSync('x25519')
    const readerPem = reader.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()
    const policy = await policyFrom(
      {
        authenticate: 'producers',
        mechanisms: {
          producers: {
            signedMessages: {
              ...options,
              signers: [{ issuer: 'urn:shop', keys: { publicKey: { pem: publicPem } }, scopes: ['orders'] }],
              decryption: { keys: [{ algorithm: 'ECDH-ES', privateKey: { pem: readerPem } }] },
            },
          },
        },
      },
      { clock },
    )
    const byHand = signedMessages({
      ...options,
      name: 'producers',
      signers: [{ issuer: 'urn:shop', keys: { publicKey: ec.publicKey }, scopes: ['orders'] }],
      decryption: { keys: [{ algorithm: 'ECDH-ES', privateKey: reader.privateKey }] },
      clock,
    })
    const sign = messageSigner({
      issuer: 'urn:shop',
      key: { privateKey: ec.privateKey },
      audience: 'warehouse',
      encryption: { algorithm: 'ECDH-ES', publicKey: reader.publicKey },
      targets: ['kafka://broker:9094'],
      clock,
    })
    const binding = messageBinding({ address: 'kafka:orders', payload: Buffer.from('order'), position: 'orders/0/1' })
    const { credential } = await sign({ target: { origin: 'kafka://broker:9094', secure: true }, binding })
    const message = (one: Credential[], payload: string): AccessRequest => ({
      ...request(...one),
      channel: { from: 'relay', protocol: 'kafka', secure: true },
      binding: messageBinding({ address: 'kafka:orders', payload: Buffer.from(payload), position: 'orders/0/1' }),
    })
    const said = await judged(
      policy.guard,
      byHand,
      [message([], 'order'), message([credential], 'other'), message([credential], 'order')],
      clock,
    )
    expect(said).toEqual(['ERR_CREDENTIAL_MISSING', expect.stringMatching(/^ERR_MESSAGE_/), 'allow'])
  })
})

describe('a policy that cannot be made', () => {
  it('leaves nothing open', async () => {
    const clock = manualClock()
    const file = written('open.toml', `[users.tom]\npassword = "${await hashPassword('x', { policy: cheap })}"\n`)
    const mechanisms = { staff: { basic: { realm: 'orders', store: { file: { file } } } } }
    for (const data of [
      { authenticate: 'stuff', mechanisms },
      { authenticate: 'staff', mechanisms: { ...mechanisms, partner: { jwt: {} } } },
    ])
      await expect(policyFrom(data, { clock, directory })).rejects.toMatchObject({ family: 'configuration' })
    expect(clock.pending).toBe(0)
  })

  it('shows no secret in its error', async () => {
    const hmac = createHmac('sha256', 'x').digest('base64')
    const data = { authenticate: 'p', mechanisms: { p: { apiKeys: { carrier: 'bearer', keys: [{ key: hmac, subject: '' }] } } } }
    const error: Error = await policyFrom(data).then(
      () => Promise.reject(new Error('It was taken.')),
      (failure: Error) => failure,
    )
    expect(error.message).toMatch(/^mechanisms\.p\.apiKeys\.keys\[0\]\.subject /)
    expect(`${error.stack} ${JSON.stringify(error)}`).not.toContain(hmac)
  })
})
