import { guard, scope, secret, type AccessRequest, type Credential } from '@portcullis/core'
import { manualClock } from '@portcullis/core/testing'
import { describe, expect, it } from 'vitest'
import { apiKeys, minKeyLength } from './api-keys.ts'

const clock = manualClock()
const good = 'pB2vQm1c7ZkXw0Tn4LrYsE'
const ending = 'q'.repeat(minKeyLength)
const keys = [
  { key: good, subject: 'billing', scopes: ['orders:read'] },
  { key: secret(ending), subject: 'import', expiresAt: new Date(clock.now() + 1000) },
]

function requestWith(...credentials: readonly Credential[]): AccessRequest {
  return { credentials, action: 'GET', resource: '/', attributes: {}, channel: { from: 'peer', protocol: 'https', secure: true } }
}
const inHeader = (key: string, name = 'x-api-key'): AccessRequest =>
  requestWith({ kind: 'apiKey', carrier: `header:${name}`, name, key: secret(key) })
const asBearer = (token: string): AccessRequest => requestWith({ kind: 'bearer', carrier: 'authorization', token: secret(token) })

describe('apiKeys', () => {
  const service = guard({ authenticate: apiKeys({ name: 'partners', carrier: 'X-API-Key', keys }), clock })

  it('proves the owner of a key', async () => {
    expect(await service.decide(inHeader(good))).toMatchObject({ outcome: 'allow', principal: { issuer: 'partners', subject: 'billing' } })
    expect(await service.with({ authorize: scope('orders:read') }).decide(inHeader(good))).toMatchObject({ outcome: 'allow' })
    expect(await service.with({ authorize: scope('orders:write') }).decide(inHeader(good))).toMatchObject({ outcome: 'forbid' })
  })

  it.each([`${good} `, good.toLowerCase(), good.slice(0, -1), `${good}A`, '', '__proto__'])('refuses "%s"', async (key) => {
    expect(await service.decide(inHeader(key))).toMatchObject({ outcome: 'challenge', reason: 'invalid', code: 'ERR_API_KEY_REFUSED' })
  })

  it('refuses a key at the very second at which it ends', async () => {
    const own = manualClock(clock.now())
    const timed = guard({ authenticate: apiKeys({ name: 'partners', carrier: 'x-api-key', keys }), clock: own })
    own.advance(999)
    expect(await timed.decide(inHeader(ending))).toMatchObject({ outcome: 'allow' })
    own.advance(1)
    expect(await timed.decide(inHeader(ending))).toMatchObject({ outcome: 'challenge', code: 'ERR_API_KEY_REFUSED' })
  })

  it('does not judge keys in other headers, other kinds, or nothing', async () => {
    for (const request of [inHeader(good, 'x-other'), asBearer(good), requestWith()])
      expect((await service.decide(request)).outcome).toBe('challenge')
    expect(await service.decide(requestWith())).toMatchObject({ reason: 'missing', offers: [] })
  })

  it('takes keys as bearer tokens, with a challenge', async () => {
    const bearer = guard({ authenticate: apiKeys({ name: 'partners', carrier: 'bearer', keys, realm: 'orders' }), clock })
    expect(await bearer.decide(asBearer(good))).toMatchObject({ outcome: 'allow' })
    expect(await bearer.decide(inHeader(good))).toMatchObject({ outcome: 'challenge' })
    expect(await bearer.decide(requestWith())).toMatchObject({ offers: [{ scheme: 'Bearer', parameters: { realm: 'orders' } }] })
  })

  it.each([
    ['no keys', { name: 'x', carrier: 'x-api-key', keys: [] }],
    ['a short key', { name: 'x', carrier: 'x-api-key', keys: [{ key: 'x'.repeat(minKeyLength - 1), subject: 'a' }] }],
    [
      'one key for two',
      {
        name: 'x',
        carrier: 'x-api-key',
        keys: [
          { key: good, subject: 'a' },
          { key: good, subject: 'b' },
        ],
      },
    ],
    ['a key of nobody', { name: 'x', carrier: 'x-api-key', keys: [{ key: good, subject: '' }] }],
    ['an empty list of scopes', { name: 'x', carrier: 'x-api-key', keys: [{ key: good, subject: 'a', scopes: [] }] }],
    ['scopes that are empty', { name: 'x', carrier: 'x-api-key', keys: [{ key: good, subject: 'a', scopes: '' }] }],
    ...[undefined, null, '', 0, false, Number.NaN, new Date(Number.NaN), '2030-01-01T00:00:00Z', 4_102_444_800_000].map(
      (expiresAt): [string, object] => [
        `an expiry that is ${String(expiresAt)}`,
        { name: 'x', carrier: 'x-api-key', keys: [{ key: good, subject: 'a', expiresAt }] },
      ],
    ),
    ['a realm without a challenge', { name: 'x', carrier: 'x-api-key', keys, realm: 'x' }],
    ['a misspelt key', { name: 'x', carier: 'x-api-key', keys }],
  ])('does not build with %s', (_, options) => {
    expect(() => apiKeys(options as never)).toThrow(expect.objectContaining({ family: 'configuration' }))
  })

  it('prints no key', () => {
    const attempt = (): unknown => apiKeys({ name: 'x', carrier: 'x-api-key', keys: [{ key: 'tooshort-but-secret', subject: 'a' }] })
    expect(attempt).toThrow(expect.not.objectContaining({ message: expect.stringContaining('tooshort') as string }))
  })
})
