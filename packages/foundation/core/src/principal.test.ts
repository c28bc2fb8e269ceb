import { once } from 'node:events'
import { inspect } from 'node:util'
import { describe, expect, it, vi } from 'vitest'
import { principal } from './fixtures.test-support.ts'
import { isPrincipal, isSecurityError, Revocation, sameSubject, secret, Secret, vouchForPrincipal } from './index.ts'
import { withFactors } from './principal.ts'

describe('a principal', () => {
  it('is known from every copy, clone, spread and heir', () => {
    const real = principal()
    expect(isPrincipal(real)).toBe(true)
    for (const other of [
      { ...real },
      Object.create(real),
      structuredClone({ ...real }),
      JSON.parse(JSON.stringify(real)),
      null,
      undefined,
      'x',
    ])
      expect(isPrincipal(other)).toBe(false)
  })

  it('is known to another copy of this package, and theirs to us', async () => {
    vi.resetModules()
    const other = await import('./index.ts')
    const theirs = other.vouchForPrincipal({ issuer: 'i', subject: 's' })
    expect(other.isPrincipal).not.toBe(isPrincipal)
    expect(isPrincipal(theirs)).toBe(true)
    expect(other.isPrincipal(principal())).toBe(true)
    expect(isPrincipal({ ...theirs })).toBe(false)
  })

  it('does not change: fields, scopes, claims, dates', () => {
    const claims = { roles: ['a'], nested: { deep: { value: 1 } } }
    const expiresAt = new Date(1_000)
    const real = vouchForPrincipal({ issuer: 'i', subject: 's', scopes: ['read'], claims, expiresAt })
    expect(() => ((real as { subject: string }).subject = 'x')).toThrow(TypeError)
    expect(() => (real.scopes as Set<string>).add('write')).toThrow(TypeError)
    expect(() => (real.scopes as Set<string>).delete('read')).toThrow(TypeError)
    expect(() => (real.scopes as Set<string>).clear()).toThrow(TypeError)
    expect(() => (claims.nested.deep.value = 2)).toThrow(TypeError)
    expect(() => claims.roles.push('b')).toThrow(TypeError)
    real.expiresAt?.setTime(9_999)
    expiresAt.setTime(9_999)
    expect(real.expiresAt).toEqual(new Date(1_000))
    expect([...real.scopes]).toEqual(['read'])
  })

  it.each([{ subject: '' }, { issuer: '' }, { subject: 1 as never }, { issuer: undefined as never }, { expiresAt: new Date(Number.NaN) }])(
    'is not vouched for with %o',
    (init) => {
      expect(() => principal(init)).toThrow(expect.objectContaining({ code: 'ERR_PRINCIPAL_INVALID' }))
    },
  )

  it('is the same party only with issuer and subject together', () => {
    expect(sameSubject(principal(), principal())).toBe(true)
    expect(sameSubject(principal(), principal({ issuer: 'https://other.example' }))).toBe(false)
  })

  it('expires with the earliest factor, and falls with any', () => {
    const revocation = new Revocation()
    const both = withFactors(principal({ expiresAt: new Date(2_000) }), [
      principal({ subject: 'device', expiresAt: new Date(1_000), revocations: [revocation] }),
    ])
    expect(both.expiresAtMs).toBe(1_000)
    expect(both.revoked).toBe(false)
    revocation.revoke('lost')
    expect(both.revoked).toBe(true)
  })

  it('proven with others keeps what is its own: when, by which key, for whom; and tells when it has none', () => {
    const authenticatedAt = new Date(5_000)
    const first = principal({ authenticatedAt, confirmation: { jkt: 'k' }, actor: principal({ subject: 'service' }) })
    const plain = principal({ subject: 'bob' })
    const both = withFactors(first, [plain])
    expect(both).toMatchObject({ authenticatedAt, confirmation: { jkt: 'k' }, actor: { subject: 'service' } })
    expect(both.factors).toEqual([plain])
    const other = withFactors(plain, [first])
    expect([other.authenticatedAt, other.confirmation, other.actor]).toEqual([undefined, undefined, undefined])
    expect(withFactors(plain, [])).toBe(plain)
  })
})

describe('a revocation', () => {
  it('goes one way, tells each listener once, and a faulty one keeps nobody from being told', async () => {
    const warned = once(process, 'warning')
    const revocation = new Revocation()
    const told: string[] = []
    revocation.subscribe(() => {
      throw new Error('faulty')
    })
    revocation.subscribe((reason) => told.push(reason))
    const stopped = (): void => void told.push('stopped')
    revocation.subscribe(stopped)
    revocation.unsubscribe(stopped)
    revocation.revoke('first')
    revocation.revoke('second')
    revocation.subscribe((reason) => told.push(`late ${reason}`))
    expect(told).toEqual(['first', 'late first'])
    await expect(warned).resolves.toMatchObject([{ message: 'faulty' }])
  })
})

describe('a secret', () => {
  it.each([undefined, null, 7, Buffer.from('x'), {}])('is not made of %s', (value) => {
    expect(() => secret(value as never)).toThrow(expect.objectContaining({ code: 'ERR_OPTION_INVALID', family: 'configuration' }))
  })

  it('prints as [secret] everywhere', () => {
    const hidden = secret('hunter2')
    for (const text of [
      String(hidden),
      hidden.toString(),
      JSON.stringify({ hidden }),
      inspect(hidden),
      inspect({ deep: { hidden } }, { depth: 9, showHidden: true }),
      hidden + '',
    ]) {
      expect(text).not.toContain('hunter2')
      expect(text).toContain('[secret]')
    }
    expect(Object.keys(hidden)).toEqual([])
    expect(hidden.reveal()).toBe('hunter2')
  })

  it('compares whole, of any length', () => {
    expect(secret('a').equals('a')).toBe(true)
    expect(secret('a').equals(new Secret('a'))).toBe(true)
    for (const other of ['', 'b', 'aa', 'A']) expect(secret('a').equals(other)).toBe(false)
    expect(secret('').equals('')).toBe(true)
  })

  it('is an error of ours only with the brand', () => {
    expect(isSecurityError(new Error('x'))).toBe(false)
    expect(isSecurityError({ code: 'ERR_X' })).toBe(false)
    expect(isSecurityError({ [Symbol.for('portcullis.error')]: true, code: 'ERR_X' }, 'ERR_X')).toBe(true)
  })
})
