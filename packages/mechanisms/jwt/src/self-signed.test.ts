import type { Credential, SourceRequest, Supplied } from '@portcullis/core'
import { describe, expect, it } from 'vitest'
import { audience, ed25519, issuer, newClock } from './fixtures.test-support.ts'
import { selfSignedJwt, type SelfSignedJwtOptions } from './self-signed.ts'
import { createVerifier } from './verify.ts'

const origin = 'https://orders.example'
const request: SourceRequest = { target: { origin, secure: true } }

function setUp(more: Partial<SelfSignedJwtOptions> = {}) {
  const clock = newClock()
  const source = selfSignedJwt({
    targets: [origin],
    issuer,
    subject: 'billing',
    audience,
    key: { privateKey: ed25519.privateKey },
    clock,
    ...more,
  })
  const verifier = createVerifier({ issuer, audience, keys: { publicKey: ed25519.publicKey }, clock })
  return { clock, source: async (asked: SourceRequest = request): Promise<Supplied> => source(asked), verifier }
}

function tokenOf({ credential }: { readonly credential: Credential }): string {
  if (credential.kind !== 'bearer') throw new Error(credential.kind)
  return credential.token.reveal()
}

describe('a source of self-signed tokens', () => {
  it('yields a token that verifies, and says until when', async () => {
    const { clock, source, verifier } = setUp()
    const supplied = await source()
    expect(supplied.expiresAt).toEqual(new Date(clock.now() + 300_000))
    expect(await verifier.verify(tokenOf(supplied))).toMatchObject({ claims: { iss: issuer, sub: 'billing', aud: audience } })
  })

  it('reuses it until shortly before it expires', async () => {
    const { clock, source, verifier } = setUp()
    const first = tokenOf(await source())
    clock.advance(250_000)
    expect(tokenOf(await source())).toBe(first)
    clock.advance(40_000)
    await source()
    await new Promise((resolve) => setImmediate(resolve))
    await expect.poll(async () => tokenOf(await source())).not.toBe(first)
    clock.advance(20_000)
    expect(await verifier.verify(tokenOf(await source()))).toMatchObject({ claims: { sub: 'billing' } })
  })

  it('issues another one when that one was refused, once for all who say so', async () => {
    const { source } = setUp()
    const first = await source()
    const again = await Promise.all([1, 2, 3].map(async () => source({ ...request, refused: first.credential })))
    expect(new Set(again.map(tokenOf)).size).toBe(1)
    expect(tokenOf(again[0]!)).not.toBe(tokenOf(first))
  })

  it('yields nothing for another target or an insecure channel', async () => {
    const { source } = setUp()
    await expect(source({ target: { origin: 'https://evil.example', secure: true } })).rejects.toMatchObject({ code: 'ERR_SOURCE_TARGET' })
    await expect(source({ target: { origin, secure: false } })).rejects.toMatchObject({ code: 'ERR_SOURCE_INSECURE' })
  })

  it('is not made without targets, subject or audience', () => {
    expect(() => setUp({ targets: [] as never })).toThrow(expect.objectContaining({ code: 'ERR_OPTION_INVALID' }))
    expect(() => setUp({ subject: undefined as never })).toThrow(expect.objectContaining({ code: 'ERR_OPTION_MISSING' }))
    expect(() => setUp({ audience: undefined as never })).toThrow(expect.objectContaining({ code: 'ERR_OPTION_MISSING' }))
    expect(() => setUp({ audiance: 'x' } as never)).toThrow(expect.objectContaining({ code: 'ERR_OPTION_UNKNOWN' }))
  })
})
