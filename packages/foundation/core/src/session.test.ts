import { describe, expect, it, vi } from 'vitest'
import { bearer, principal, request } from './fixtures.test-support.ts'
import {
  anonymous,
  AuthSession,
  authenticator,
  guard,
  maxFailedReauthentications,
  refused,
  Revocation,
  scope,
  systemClock,
  UnavailableError,
  type Anonymous,
  type AuditEvent,
  type AuthSessionOptions,
  type EndReason,
  type Principal,
  type PrincipalInit,
  type Verdict,
} from './index.ts'
import { manualClock } from './testing.ts'

const opening = { action: 'subscribe', resource: '/feed', attributes: {} }

function setUp(init: Partial<PrincipalInit>, options: Partial<AuthSessionOptions> = {}) {
  const clock = manualClock()
  const ends: EndReason[] = []
  const warnings: Date[] = []
  const events: AuditEvent[] = []
  const at = (ms: number): Date => new Date(clock.now() + ms)
  let next: () => Verdict | Promise<Verdict> = () => refused('ERR_X')
  const guarded = guard({ authenticate: authenticator<Principal>('x', () => next()), clock, audit: (event) => events.push(event) })
  const session = new AuthSession<Principal>({
    guard: guarded,
    principal: principal(init),
    action: opening,
    protocol: 'test',
    onEnd: (reason) => ends.push(reason),
    onWarning: (date) => warnings.push(date),
    ...options,
  })
  const reauthenticate = (verdict: () => Verdict | Promise<Verdict>) => {
    next = verdict
    return session.reauthenticate(request({ credentials: [bearer('new')] }))
  }
  return { clock, ends, warnings, events, at, session, reauthenticate, guarded }
}
const start = manualClock().now()

describe('a session', () => {
  it('warns, and ends at expiry by its timer, with a silent peer', () => {
    const { clock, ends, warnings, session } = setUp({ expiresAt: new Date(start + 300_000) })
    clock.advance(239_999)
    expect(warnings).toEqual([])
    clock.advance(1)
    expect(warnings).toEqual([new Date(start + 300_000)])
    clock.advance(59_999)
    expect(ends).toEqual([])
    expect(session.ended).toBe(undefined)
    clock.advance(1)
    expect(ends).toEqual(['expired'])
    clock.advance(1_000_000)
    expect(ends).toEqual(['expired'])
    expect(warnings.length).toBe(1)
    expect(clock.pending).toBe(0)
  })

  it('warns at half time if less than the warning time is left', () => {
    const { clock, warnings } = setUp({ expiresAt: new Date(start + 10_000) })
    clock.advance(4_999)
    expect(warnings.length).toBe(0)
    clock.advance(1)
    expect(warnings.length).toBe(1)
  })

  it('has ended once the clock says so, even before its timer ran', () => {
    const { clock, ends, session } = setUp({ expiresAt: new Date(start + 1_000) })
    clock.step(start + 1_000)
    expect(session.ended).toBe('expired')
    expect(ends).toEqual(['expired'])
  })

  it('notices within a minute that the clock was set forward, and lives on if it was set back', () => {
    const forward = setUp({ expiresAt: new Date(start + 86_400_000) })
    forward.clock.step(start + 90_000_000)
    forward.clock.advance(60_000)
    expect(forward.ends).toEqual(['expired'])
    const back = setUp({ expiresAt: new Date(start + 120_000) })
    back.clock.step(start - 600_000)
    back.clock.advance(300_000)
    expect(back.ends).toEqual([])
  })

  it('waits longer than a 32-bit timer can', () => {
    const days = 40 * 86_400_000
    const { clock, ends } = setUp({ expiresAt: new Date(start + days) })
    clock.advance(days - 1)
    expect(ends).toEqual([])
    clock.advance(1)
    expect(ends).toEqual(['expired'])
  })

  it("gives a principal without expiry the listener's longest session, an hour by default", () => {
    const byDefault = setUp({})
    byDefault.clock.advance(3_599_999)
    expect(byDefault.ends).toEqual([])
    byDefault.clock.advance(1)
    expect(byDefault.ends).toEqual(['expired'])
    const chosen = setUp({}, { maxSessionMs: 5_000 })
    chosen.clock.advance(5_000)
    expect(chosen.ends).toEqual(['expired'])
  })

  it('lives through its grace, which revocation does not have', () => {
    const late = setUp({ expiresAt: new Date(start + 10_000) }, { graceMs: 2_000 })
    late.clock.advance(11_999)
    expect(late.ends).toEqual([])
    late.clock.advance(1)
    expect(late.ends).toEqual(['expired'])
    const revocation = new Revocation()
    const revoked = setUp({ expiresAt: new Date(start + 10_000), revocations: [revocation] }, { graceMs: 60_000 })
    revocation.revoke('left')
    expect(revoked.ends).toEqual(['revoked'])
    expect(revoked.session.ended).toBe('revoked')
    expect(revoked.warnings).toEqual([])
  })

  it('keeps its clock though the adapter fails to warn, and says so', async () => {
    const fault = new Error('no frame could be sent')
    const { clock, ends, events } = setUp(
      { expiresAt: new Date(start + 300_000) },
      {
        onWarning: () => {
          throw fault
        },
      },
    )
    clock.advance(300_000)
    expect(ends).toEqual(['expired'])
    await expect.poll(() => events.filter(({ type }) => type === 'warning')).toMatchObject([{ cause: fault }])
  })

  it.each(['revocation', 'policy'] as const)('ends with the others at a %s, though the adapter of one fails to close', async (what) => {
    const revocation = new Revocation()
    const fault = new Error('the socket is gone')
    const { ends, events, guarded, session } = setUp(
      { revocations: [revocation] },
      {
        onEnd: () => {
          throw fault
        },
      },
    )
    const other = new AuthSession<Principal>({
      guard: guarded,
      principal: session.principal,
      action: opening,
      protocol: 'test',
      onEnd: (reason) => ends.push(reason),
    })
    if (what === 'revocation') revocation.revoke('left')
    else guarded.change({ authorize: scope('nobody-has-it') })
    expect(session.ended).toBe(what === 'revocation' ? 'revoked' : 'policy')
    expect(other.ended).toBe(session.ended)
    expect(ends).toEqual([session.ended])
    await expect.poll(() => events.filter(({ type }) => type === 'warning')).toMatchObject([{ cause: fault }])
  })

  it.each([
    { graceMs: 60_001 },
    { graceMs: -1 },
    { graceMs: Number.NaN },
    { maxSessionMs: 0 },
    { warnBeforeMs: Number.POSITIVE_INFINITY },
    { maxSesionMs: 1 } as never,
  ])('does not take %o', (options) => {
    expect(() => setUp({}, options)).toThrow(expect.objectContaining({ family: 'configuration' }))
  })

  it('re-authenticates the same subject ten times, with the new expiry and scopes', async () => {
    const { clock, ends, session, reauthenticate } = setUp({ expiresAt: new Date(start + 10_000), scopes: ['a'] })
    for (let turn = 0; turn < 10; turn++) {
      clock.advance(9_000)
      const decision = await reauthenticate(() => principal({ expiresAt: new Date(clock.now() + 10_000), scopes: [`turn-${turn}`] }))
      expect(decision.outcome).toBe('allow')
    }
    expect(ends).toEqual([])
    expect([...session.principal.scopes]).toEqual(['turn-9'])
    clock.advance(10_000)
    expect(ends).toEqual(['expired'])
  })

  it('ends when another subject, another issuer or another key comes out', async () => {
    const cases: [Partial<PrincipalInit>, Partial<PrincipalInit>][] = [
      [{}, { subject: 'mallory' }],
      [{}, { issuer: 'https://other.example' }],
    ]
    for (const [before, after] of cases) {
      const { ends, reauthenticate } = setUp(before)
      await reauthenticate(() => principal(after))
      expect(ends).toEqual(['subjectChanged'])
    }
    const keyed = setUp({ confirmation: { jkt: 'one' } })
    await keyed.reauthenticate(() => ({ proven: principal({ confirmation: { jkt: 'two' } }), possession: { jkt: 'two' } }))
    expect(keyed.ends).toEqual(['subjectChanged'])
    const unbound = setUp({ confirmation: { jkt: 'one' } })
    await unbound.reauthenticate(() => principal())
    expect(unbound.ends).toEqual(['subjectChanged'])
  })

  it('is not changed by an attempt that is refused or cannot be judged; refusals are limited', async () => {
    const { clock, ends, session, reauthenticate } = setUp({ expiresAt: new Date(start + 10_000) })
    const before = session.principal
    for (let attempt = 0; attempt < 20; attempt++) {
      await reauthenticate(() => {
        throw new UnavailableError('ERR_X', 'down')
      })
    }
    for (let attempt = 1; attempt < maxFailedReauthentications; attempt++) await reauthenticate(() => refused('ERR_X'))
    expect(session.principal).toBe(before)
    expect(ends).toEqual([])
    await reauthenticate(() => refused('ERR_X'))
    expect(ends).toEqual(['reauthenticationLimit'])
    const slow = setUp({ expiresAt: new Date(start + 10_000) })
    await slow.reauthenticate(() => refused('ERR_X'))
    slow.clock.advance(10_000)
    expect(slow.ends).toEqual(['expired'])
    clock.advance(1)
  })

  it('does not come back to life when a re-authentication is decided after the end', async () => {
    const { clock, ends, session, reauthenticate } = setUp({ expiresAt: new Date(start + 10_000) })
    let answer: (verdict: Verdict) => void = () => undefined
    const pending = reauthenticate(() => new Promise<Verdict>((resolve) => (answer = resolve)))
    clock.advance(10_000)
    answer(principal({ expiresAt: new Date(start + 99_000) }))
    await pending
    expect(ends).toEqual(['expired'])
    expect(session.ended).toBe('expired')
    expect(clock.pending).toBe(0)
  })

  it("listens to the new principal's revocation, and no longer to the old one's", async () => {
    const [old, fresh] = [new Revocation(), new Revocation()]
    const { ends, reauthenticate } = setUp({ revocations: [old] })
    await reauthenticate(() => principal({ revocations: [fresh] }))
    old.revoke('x')
    expect(ends).toEqual([])
    fresh.revoke('x')
    expect(ends).toEqual(['revoked'])
  })

  it('is over at once when its principal was revoked between the decision and the opening, and listens to nothing more', () => {
    const [gone, other] = [new Revocation(), new Revocation()]
    gone.revoke('x')
    const listened = vi.spyOn(other, 'subscribe')
    const { clock, ends } = setUp({ revocations: [gone, other] })
    expect(ends).toEqual(['revoked'])
    expect(listened).not.toHaveBeenCalled()
    expect(clock.pending).toBe(0)
  })

  it('judges again what is open: after re-authentication, and after a policy change', async () => {
    const { ends, guarded, session, reauthenticate } = setUp({ scopes: ['a', 'b'] })
    const closed: string[] = []
    const watch = (name: string): (() => void) =>
      session.watch({
        guard: guarded.with({ authorize: scope(name) }),
        action: opening,
        onEnd: (refusal) => closed.push(`${name} ${refusal.outcome}`),
      })
    watch('a')
    watch('b')
    const stop = watch('b')
    stop()
    await reauthenticate(() => principal({ scopes: ['a'] }))
    expect(closed).toEqual(['b forbid'])
    expect(ends).toEqual([])
    guarded.change({ authorize: scope('c') })
    expect(ends).toEqual(['policy'])
  })

  it('of nobody in particular goes on as nobody, and never becomes somebody', async () => {
    const next: Verdict<Principal | Anonymous>[] = [anonymous, principal()]
    const guarded = guard({ authenticate: authenticator<Principal | Anonymous>('x', () => next.shift() ?? refused('ERR_X')) })
    const ends: EndReason[] = []
    const session = new AuthSession<Principal | Anonymous>({
      guard: guarded,
      principal: anonymous,
      action: opening,
      protocol: 'test',
      onEnd: (reason) => ends.push(reason),
    })
    await session.reauthenticate(request())
    expect(ends).toEqual([])
    await session.reauthenticate(request())
    expect(ends).toEqual(['subjectChanged'])
  })

  it('closes once, tells the audit trail, and lets go of its timer', async () => {
    const { clock, ends, guarded, session } = setUp({}, { remoteAddress: '192.0.2.1' })
    const events: unknown[] = []
    guarded.subscribe((event) => events.push(event))
    session.close()
    session.close('shutdown')
    expect(ends).toEqual(['closed'])
    expect(clock.pending).toBe(0)
    await new Promise((resolve) => setImmediate(resolve))
    expect(events).toMatchObject([
      { type: 'sessionEnded', protocol: 'test', message: 'closed', remoteAddress: '192.0.2.1', principal: { subject: 'alice' } },
    ])
  })

  it('ends in real time too', async () => {
    const reason = await new Promise<EndReason>((resolve) => {
      const guarded = guard({ authenticate: authenticator<Principal>('x', () => refused('ERR_X')), clock: systemClock })
      void new AuthSession<Principal>({
        guard: guarded,
        principal: principal({ expiresAt: new Date(Date.now() + 50) }),
        action: opening,
        protocol: 'test',
        onEnd: resolve,
      })
      setTimeout(() => undefined, 5_000)
    })
    expect(reason).toBe('expired')
  })
})
