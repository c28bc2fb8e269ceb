import { generateKeyPairSync, type JsonWebKey, type KeyObject } from 'node:crypto'
import { AuthSession, guard } from '@portcullis/core'
import type { ManualClock } from '@portcullis/core/testing'
import { describe, expect, it } from 'vitest'
import { jwt } from './authenticator.ts'
import {
  audience,
  bearer,
  ed25519,
  forge,
  goodClaims,
  issuer,
  newClock,
  otherRsa,
  p256,
  requestWith,
  rsa,
} from './fixtures.test-support.ts'
import type { Fetch } from './fetch-document.ts'
import { remoteKeySet, type RemoteKeysOptions } from './jwks.ts'
import { createVerifier } from './verify.ts'

const jwksUri = 'https://issuer.example/jwks'

/** An issuer's end of the wire: real `Response` objects, of which a test says what is in them. */
class Endpoint {
  readonly asked: string[] = []
  keys: readonly unknown[] = []
  answer: ((url: string, signal: AbortSignal) => Response | Promise<Response>) | undefined
  readonly fetch: Fetch = async (url, { redirect, signal }) => {
    expect(redirect).toBe('manual')
    this.asked.push(url)
    return this.answer === undefined ? Response.json({ keys: this.keys }) : this.answer(url, signal)
  }
}

function published(key: KeyObject, kid: string, more: Readonly<Record<string, unknown>> = {}): JsonWebKey {
  return { ...key.export({ format: 'jwk' }), kid, use: 'sig', ...more }
}

function tokenWith(kid: string | undefined, key: KeyObject = rsa.privateKey, alg = 'RS256', lifeSeconds = 1_000_000): string {
  const claims = goodClaims()
  return forge({ alg, ...(kid !== undefined && { kid }) }, { ...claims, exp: (claims['exp'] as number) + lifeSeconds }, key)
}

function setUp(more: Partial<RemoteKeysOptions> = {}) {
  const clock = newClock()
  const endpoint = new Endpoint()
  endpoint.keys = [published(rsa.publicKey, 'one')]
  const verifier = createVerifier({ issuer, audience, keys: { jwksUri, fetch: endpoint.fetch, ...more }, clock })
  const outcome = async (token: string): Promise<string> => {
    try {
      const result = await verifier.verify(token)
      return 'refused' in result ? result.refused : 'accepted'
    } catch (error) {
      return (error as { code: string }).code
    }
  }
  return { clock, endpoint, verifier, outcome }
}

const down = (): Response => new Response('down', { status: 503 })
const settle = async (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 5))

describe('keys that the issuer publishes', () => {
  it('are read with the first token, and once', async () => {
    const { endpoint, outcome } = setUp()
    expect(endpoint.asked).toEqual([])
    expect(await Promise.all(Array.from({ length: 50 }, async () => outcome(tokenWith('one'))))).toEqual(
      Array.from({ length: 50 }, () => 'accepted'),
    )
    expect(endpoint.asked).toEqual([jwksUri])
  })

  it('are not read for junk: issuer, audience, expiry and shape are looked at before', async () => {
    const { endpoint, outcome } = setUp()
    for (const claims of [{ iss: 'https://evil.example' }, { aud: 'other' }, { exp: 1 }, { nbf: 4e9 }]) {
      expect(await outcome(forge({ alg: 'RS256', kid: 'x' }, goodClaims(claims), rsa.privateKey))).toMatch(
        /ISSUER|AUDIENCE|EXPIRED|NOT_YET/,
      )
    }
    expect(await outcome('eyJ.eyJ.x')).toBe('ERR_JWT_BASE64URL')
    expect(endpoint.asked).toEqual([])
  })

  it('never verify the tokens of another issuer', async () => {
    const clock = newClock()
    const endpoint = new Endpoint()
    const other = new Endpoint()
    endpoint.keys = [published(rsa.publicKey, 'one')]
    other.keys = [published(otherRsa.publicKey, 'one')]
    const verifier = createVerifier({
      issuers: [
        { issuer, audience, keys: { jwksUri, fetch: endpoint.fetch } },
        { issuer: 'https://other.example', audience, keys: { jwksUri: 'https://other.example/jwks', fetch: other.fetch } },
      ],
      clock,
    })
    expect(await verifier.verify(tokenWith('one'))).toMatchObject({ claims: { iss: issuer } })
    const forged = forge({ alg: 'RS256', kid: 'one' }, goodClaims({ iss: 'https://other.example' }), rsa.privateKey)
    expect(await verifier.verify(forged)).toMatchObject({ refused: 'ERR_JWT_SIGNATURE_INVALID' })
  })

  it('may be for several algorithms; what is not for signatures, or unknown, is passed over', async () => {
    const { endpoint, outcome } = setUp()
    endpoint.keys = [
      null,
      'x',
      { kty: 'FUTURE', kid: 'f' },
      { kty: 'RSA', n: '!', e: 'AQAB', kid: 'broken' },
      published(rsa.publicKey, 'enc', { use: 'enc' }),
      published(rsa.publicKey, 'ops', { key_ops: ['encrypt'] }),
      published(rsa.publicKey, 'alg', { alg: 'RSA-OAEP' }),
      published(generateKeyPairSync('rsa', { modulusLength: 1024 }).publicKey, 'weak'),
      { kty: 'oct', k: Buffer.alloc(32).toString('base64url'), kid: 'secret', alg: 'HS256' },
      { ...rsa.privateKey.export({ format: 'jwk' }), kid: 'private' },
      published(rsa.publicKey, 'one', { alg: 'RS256' }),
      published(p256.publicKey, 'two'),
      published(ed25519.publicKey, 'three', { key_ops: ['verify'] }),
    ]
    expect(await outcome(tokenWith('one'))).toBe('accepted')
    expect(await outcome(tokenWith('two', p256.privateKey, 'ES256'))).toBe('accepted')
    expect(await outcome(tokenWith('three', ed25519.privateKey, 'EdDSA'))).toBe('accepted')
    for (const kid of ['enc', 'ops', 'alg', 'weak', 'private', 'broken']) expect(await outcome(tokenWith(kid))).toBe('ERR_JWT_KEY_UNKNOWN')
    expect(endpoint.asked).toHaveLength(1)
  })

  it('are narrowed to the algorithms that are asked for', async () => {
    const { endpoint, outcome } = setUp({ algorithms: ['RS256', 'PS256'] })
    endpoint.keys = [published(rsa.publicKey, 'one', { alg: 'RS256' }), published(p256.publicKey, 'two')]
    expect(await outcome(tokenWith('one'))).toBe('accepted')
    expect(await outcome(tokenWith('two', p256.privateKey, 'ES256'))).toBe('ERR_JWT_KEY_UNKNOWN')
    expect(() => setUp({ algorithms: ['HS256'] })).toThrow(expect.objectContaining({ code: 'ERR_JWT_KEY_UNUSABLE' }))
  })
})

describe('unknown keys', () => {
  it('cost the issuer one request a second, and good tokens pass meanwhile', async () => {
    const { clock, endpoint, outcome } = setUp()
    expect(await outcome(tokenWith('one'))).toBe('accepted')
    clock.advance(1_000)
    let release = (): void => undefined
    const held = new Promise<void>((resolve) => {
      release = resolve
    })
    endpoint.answer = async () => {
      await held
      return Response.json({ keys: endpoint.keys })
    }
    const bogus = Array.from({ length: 1_000 }, async (_, at) => outcome(tokenWith(`bogus-${at}`, rsa.privateKey)))
    expect(await outcome(tokenWith('one'))).toBe('accepted')
    release()
    expect(new Set(await Promise.all(bogus))).toEqual(new Set(['ERR_JWT_KEY_UNKNOWN']))
    expect(endpoint.asked).toHaveLength(2)
    clock.advance(999)
    expect(await outcome(tokenWith('another'))).toBe('ERR_JWT_KEY_UNKNOWN')
    expect(endpoint.asked).toHaveLength(2)
    clock.advance(1)
    expect(await outcome(tokenWith('another'))).toBe('ERR_JWT_KEY_UNKNOWN')
    expect(endpoint.asked).toHaveLength(3)
  })

  it('wait in a bounded number', async () => {
    const { endpoint, outcome } = setUp()
    let release = (): void => undefined
    endpoint.answer = async () => {
      await new Promise<void>((resolve) => {
        release = resolve
      })
      return Response.json({ keys: endpoint.keys })
    }
    const token = tokenWith('bogus')
    const waiting = Array.from({ length: 4_097 }, async () => outcome(token))
    expect(await waiting.at(-1)).toBe('ERR_JWT_OVERLOADED')
    release()
    expect(new Set((await Promise.all(waiting)).slice(0, -1))).toEqual(new Set(['ERR_JWT_KEY_UNKNOWN']))
  })

  it('are not worth waiting for longer than the token lives', async () => {
    const { clock, endpoint, outcome } = setUp()
    endpoint.answer = () => {
      clock.advance(300_000)
      return Response.json({ keys: endpoint.keys })
    }
    expect(await outcome(tokenWith('one', rsa.privateKey, 'RS256', 0))).toBe('ERR_JWT_EXPIRED')
  })

  it('are accepted within a second of their first use', async () => {
    const { clock, endpoint, outcome } = setUp()
    const token = tokenWith('two', otherRsa.privateKey)
    expect(await outcome(token)).toBe('ERR_JWT_KEY_UNKNOWN')
    endpoint.keys = [...endpoint.keys, published(otherRsa.publicKey, 'two')]
    clock.advance(500)
    expect(await outcome(token)).toBe('ERR_JWT_KEY_UNKNOWN')
    clock.advance(500)
    expect(await outcome(token)).toBe('accepted')
    expect(await outcome(tokenWith('one'))).toBe('accepted')
  })

  it('are looked for also where tokens name none', async () => {
    const { clock, endpoint, outcome } = setUp()
    expect(await outcome(tokenWith(undefined))).toBe('accepted')
    endpoint.keys = [published(p256.publicKey, 'two')]
    clock.advance(1_000)
    expect(await outcome(tokenWith(undefined, p256.privateKey, 'ES256'))).toBe('accepted')
  })

  it('cannot be told from known ones while the issuer is down', async () => {
    const { clock, endpoint, outcome } = setUp()
    expect(await outcome(tokenWith('one'))).toBe('accepted')
    endpoint.answer = down
    clock.advance(1_000)
    for (let time = 0; time < 100; time++) expect(await outcome(tokenWith('two'))).toBe('ERR_JWT_KEYS_UNAVAILABLE')
    expect(endpoint.asked).toHaveLength(2)
    expect(await outcome(tokenWith('one'))).toBe('accepted')
  })

  it('are looked for after the clock was set back', async () => {
    const { clock, endpoint, outcome } = setUp()
    expect(await outcome(tokenWith('two'))).toBe('ERR_JWT_KEY_UNKNOWN')
    clock.step(clock.now() - 60_000)
    expect(await outcome(tokenWith('two'))).toBe('ERR_JWT_KEY_UNKNOWN')
    expect(endpoint.asked).toHaveLength(2)
  })
})

describe('an issuer that is down', () => {
  it('does not keep a service from starting, and is asked once a second', async () => {
    const { clock, endpoint, outcome } = setUp()
    endpoint.answer = async () => Promise.reject(new Error('ECONNREFUSED'))
    for (let time = 0; time < 100; time++) expect(await outcome(tokenWith('one'))).toBe('ERR_JWT_KEYS_UNAVAILABLE')
    expect(endpoint.asked).toHaveLength(1)
    endpoint.answer = undefined
    expect(await outcome(tokenWith('one'))).toBe('ERR_JWT_KEYS_UNAVAILABLE')
    clock.advance(1_000)
    expect(await outcome(tokenWith('one'))).toBe('accepted')
  })

  it('is an outage for a guard, with a time to come back', async () => {
    const { clock, endpoint } = setUp()
    endpoint.answer = down
    const orders = guard({ authenticate: jwt({ issuer, audience, keys: { jwksUri, fetch: endpoint.fetch }, clock }), clock })
    expect(await orders.decide(requestWith(bearer(tokenWith('one'))))).toMatchObject({
      outcome: 'unavailable',
      reason: 'outage',
      retryAfterMs: 1_000,
    })
  })

  it('is borne for maxStaleMs, and not a millisecond longer, also by what is remembered', async () => {
    const clock = newClock()
    const endpoint = new Endpoint()
    endpoint.keys = [published(rsa.publicKey, 'one')]
    const keys = { jwksUri, fetch: endpoint.fetch, maxStaleMs: 60_000, refreshAfterMs: 10_000 }
    const orders = guard({ authenticate: jwt({ issuer, audience, keys, clock }), clock })
    const credential = bearer(tokenWith('one'))
    const outcome = async (): Promise<string> => (await orders.decide(requestWith(credential))).outcome
    expect(await outcome()).toBe('allow')
    endpoint.answer = down
    clock.advance(59_999)
    expect(await outcome()).toBe('allow')
    await settle()
    clock.advance(1)
    expect(await outcome()).toBe('unavailable')
    expect(await outcome()).toBe('unavailable')
    endpoint.answer = undefined
    clock.advance(1_000)
    expect(await outcome()).toBe('allow')
  })

  it('defaults to one day', async () => {
    const { clock, endpoint, outcome } = setUp()
    expect(await outcome(tokenWith('one'))).toBe('accepted')
    endpoint.answer = down
    clock.advance(86_399_999)
    expect(await outcome(tokenWith('one'))).toBe('accepted')
    await settle()
    clock.advance(1)
    expect(await outcome(tokenWith('one'))).toBe('ERR_JWT_KEYS_UNAVAILABLE')
  })

  it('is told, and who listens cannot break anything', async () => {
    const failures: unknown[] = []
    const { clock, endpoint, outcome } = setUp({
      onFailure: (error) => {
        failures.push(error)
        throw new Error('listener')
      },
    })
    expect(await outcome(tokenWith('one'))).toBe('accepted')
    endpoint.answer = down
    clock.advance(600_000)
    expect(await outcome(tokenWith('one'))).toBe('accepted')
    await settle()
    expect(failures).toEqual([expect.objectContaining({ message: 'It was answered with status 503.' })])
    expect(await outcome(tokenWith('one'))).toBe('accepted')
  })
})

describe('rotation', () => {
  const pollUntilAsked = async (endpoint: Endpoint, times: number): Promise<void> => expect.poll(() => endpoint.asked.length).toBe(times)

  it('is noticed ahead, in the background, once for all', async () => {
    const { clock, endpoint, outcome } = setUp()
    expect(await outcome(tokenWith('one'))).toBe('accepted')
    clock.advance(599_999)
    expect(await outcome(tokenWith('one'))).toBe('accepted')
    expect(endpoint.asked).toHaveLength(1)
    clock.advance(1)
    for (let time = 0; time < 50; time++) expect(await outcome(tokenWith('one'))).toBe('accepted')
    await pollUntilAsked(endpoint, 2)
  })

  async function remembered(clock: ManualClock, endpoint: Endpoint) {
    const orders = guard({ authenticate: jwt({ issuer, audience, keys: { jwksUri, fetch: endpoint.fetch }, clock }), clock })
    const credential = bearer(tokenWith('one'))
    const decide = async () => orders.decide(requestWith(credential))
    return { decide, orders, again: async () => orders.decide(requestWith(bearer(credential.token.reveal()))) }
  }

  it('ends what was remembered, by text and by identity, and live sessions, when a key is removed', async () => {
    const clock = newClock()
    const endpoint = new Endpoint()
    endpoint.keys = [published(rsa.publicKey, 'one'), published(p256.publicKey, 'two')]
    const { decide, again, orders } = await remembered(clock, endpoint)
    const first = await decide()
    if (first.outcome !== 'allow' || first.principal.kind !== 'principal') throw new Error('not allowed')
    const ended: string[] = []
    const session = new AuthSession({
      guard: orders,
      principal: first.principal,
      action: requestWith(),
      protocol: 'wss',
      onEnd: (reason) => ended.push(reason),
    })
    endpoint.keys = [published(p256.publicKey, 'two')]
    clock.advance(600_000)
    expect(await decide()).toMatchObject({ outcome: 'allow' })
    await settle()
    expect(first.principal.revoked).toBe(true)
    expect(await decide()).toMatchObject({ outcome: 'challenge', code: 'ERR_JWT_KEY_UNKNOWN' })
    expect(await again()).toMatchObject({ outcome: 'challenge', code: 'ERR_JWT_KEY_UNKNOWN' })
    expect(session.ended).toBe('revoked')
    expect(ended).toEqual(['revoked'])
  })

  it('keeps what was verified with keys that stay, in whatever order and company they come', async () => {
    const clock = newClock()
    const endpoint = new Endpoint()
    endpoint.keys = [published(rsa.publicKey, 'one'), published(p256.publicKey, 'two')]
    const { decide } = await remembered(clock, endpoint)
    const first = await decide()
    endpoint.keys = [published(ed25519.publicKey, 'three'), published(rsa.publicKey, 'one')]
    clock.advance(600_000)
    await decide()
    await settle()
    const later = await decide()
    expect(later).toMatchObject({ outcome: 'allow' })
    expect(later.outcome === 'allow' && first.outcome === 'allow' && later.principal === first.principal).toBe(true)
  })

  it('of the key behind an identifier ends the tokens of the old one', async () => {
    const { clock, endpoint, outcome } = setUp()
    expect(await outcome(tokenWith('one'))).toBe('accepted')
    endpoint.keys = [published(otherRsa.publicKey, 'one')]
    clock.advance(600_000)
    await outcome(tokenWith('one'))
    await settle()
    expect(await outcome(tokenWith('one'))).toBe('ERR_JWT_SIGNATURE_INVALID')
    expect(await outcome(tokenWith('one', otherRsa.privateKey))).toBe('accepted')
  })

  it('can be asked for', async () => {
    const clock = newClock()
    const endpoint = new Endpoint()
    endpoint.keys = [published(rsa.publicKey, 'one')]
    const keys = remoteKeySet({ jwksUri, fetch: endpoint.fetch, clock })
    const verifier = createVerifier({ issuer, audience, keys, clock })
    expect(await verifier.verify(tokenWith('one'))).toMatchObject({ claims: {} })
    endpoint.keys = [published(p256.publicKey, 'two')]
    await Promise.all([keys.refresh(), keys.refresh()])
    expect(endpoint.asked).toHaveLength(2)
    expect(await verifier.verify(tokenWith('one'))).toMatchObject({ refused: 'ERR_JWT_KEY_UNKNOWN' })
    endpoint.answer = down
    await expect(keys.refresh()).rejects.toMatchObject({ code: 'ERR_JWT_KEYS_UNAVAILABLE' })
  })
})

describe('what the issuer answers', () => {
  const big = (bytes: number): string => JSON.stringify({ keys: [published(rsa.publicKey, 'one')], pad: 'x'.repeat(bytes) })
  const many = (count: number): string =>
    JSON.stringify({ keys: Array.from({ length: count }, (_, at) => published(rsa.publicKey, at === 0 ? 'one' : `k${at}`)) })
  const stream = (...chunks: readonly Uint8Array[]): ReadableStream => ReadableStream.from(chunks)

  it.each([
    ['a status that is no success', () => new Response('{}', { status: 404 })],
    ['nothing', () => new Response(null, { status: 200 })],
    ['no JSON', () => new Response('<html>')],
    ['no object', () => Response.json([])],
    ['no keys', () => Response.json({})],
    ['no list of keys', () => Response.json({ keys: {} })],
    ['an empty list', () => Response.json({ keys: [] })],
    ['only keys that cannot be used', () => Response.json({ keys: [{ kty: 'oct', k: 'AAAA' }] })],
    ['two keys of one identifier', () => Response.json({ keys: [published(rsa.publicKey, 'one'), published(otherRsa.publicKey, 'one')] })],
    ['a member twice', () => new Response(`{"keys":[],"keys":[${JSON.stringify(published(rsa.publicKey, 'one'))}]}`)],
    ['no UTF-8', () => new Response(Buffer.concat([Buffer.from(big(0).slice(0, -2)), Buffer.from([0xff]), Buffer.from('"}')]))],
    ['more than 1 MiB', () => new Response(big(1_048_576))],
    ['more than 1 MiB in pieces', () => new Response(stream(Buffer.from(big(900_000)), Buffer.alloc(200_000, ' ')))],
    ['more than 1,000 keys', () => new Response(many(1_001))],
    ['a redirect without a place', () => new Response(null, { status: 302 })],
    ['a redirect to another origin', () => new Response(null, { status: 302, headers: { location: 'https://evil.example/jwks' } })],
    ['a redirect to another port', () => new Response(null, { status: 307, headers: { location: 'https://issuer.example:8443/jwks' } })],
    ['a redirect into the clear', () => new Response(null, { status: 301, headers: { location: 'http://issuer.example/jwks' } })],
    ['redirects without end', () => new Response(null, { status: 302, headers: { location: '/jwks' } })],
    ['an exception', () => Promise.reject(new TypeError('fetch failed'))],
  ])('%s is an outage, and the last good set serves on', async (_, answer) => {
    const { clock, endpoint, outcome } = setUp()
    expect(await outcome(tokenWith('one'))).toBe('accepted')
    endpoint.answer = answer
    clock.advance(600_000)
    expect(await outcome(tokenWith('two'))).toBe('ERR_JWT_KEYS_UNAVAILABLE')
    expect(endpoint.asked.every((url) => new URL(url).origin === 'https://issuer.example')).toBe(true)
    expect(await outcome(tokenWith('one'))).toBe('accepted')
  })

  it('is taken up to the limits, and after redirects within the origin', async () => {
    for (const answer of [
      () => new Response(many(1_000)),
      () => new Response(big(1_040_000)),
      (url: string) =>
        url === jwksUri
          ? new Response(null, { status: 301, headers: { location: 'keys/now' } })
          : Response.json({ keys: [published(rsa.publicKey, 'one')] }),
    ]) {
      const { endpoint, outcome } = setUp()
      endpoint.answer = answer
      expect(await outcome(tokenWith('one'))).toBe('accepted')
    }
  })

  it('is not waited for without end: neither for the head nor for the body', async () => {
    for (const answer of [
      async (_: string, signal: AbortSignal) =>
        new Promise<Response>((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason as Error))),
      () => new Response(new ReadableStream({ start: (controller) => controller.enqueue(Buffer.from('{')) })),
    ]) {
      const { endpoint, outcome } = setUp({ timeoutMs: 30 })
      endpoint.answer = answer
      expect(await outcome(tokenWith('one'))).toBe('ERR_JWT_KEYS_UNAVAILABLE')
    }
  })
})

describe('options', () => {
  it.each([
    [{ jwksUri: 'http://issuer.example/jwks' }],
    [{ jwksUri: 'issuer.example/jwks' }],
    [{ jwksUri: '' }],
    [{ jwksUri: 'https://user:pass@issuer.example/jwks' }],
    [{ jwksUri: 'file:///etc/passwd' }],
    [{ timeoutMs: 0 }],
    [{ maxStaleMs: Number.NaN }],
    [{ refreshAfterMs: Number.POSITIVE_INFINITY }],
    [{ fetch: 'fetch' }],
    [{ algorithms: [] }],
    [{ onFailure: {} }],
    [{ ttl: 3 }],
  ])('refuses %j', (more) => {
    expect(() => setUp(more as never)).toThrow(expect.objectContaining({ family: 'configuration' }))
  })
})
