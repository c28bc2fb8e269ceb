import { inspect } from 'node:util'
import { Recorder } from './opentelemetry.test-support.ts'
import { describe, expect, it } from 'vitest'
import { bearer, principal, request } from './fixtures.test-support.ts'
import { allOf, authenticator, guard, refused, secret, type AuditEvent } from './index.ts'
import { openTelemetry } from './opentelemetry.ts'

const tick = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

describe('the audit trail', () => {
  it('has one event per decision, after the decision, with who, what and why, and no credential', async () => {
    const events: AuditEvent[] = []
    const guarded = guard({
      name: 'orders',
      authenticate: authenticator('x', ({ credentials }) => (credentials[0]?.kind === 'bearer' ? principal() : refused('ERR_X'))),
      audit: (event) => events.push(event),
    })
    await guarded.decide(request({ credentials: [bearer('s3cr3t-token')] }))
    await guarded.decide(
      request({ credentials: [{ kind: 'basic', carrier: 'authorization', username: 'mallory', password: secret('s3cr3t-word') }] }),
    )
    await guarded.decide(request({ credentials: [bearer('s3cr3t-token')] }))
    expect(events).toEqual([])
    await tick()
    const [allowed, denied, again] = events as [
      AuditEvent & { type: 'decision' },
      AuditEvent & { type: 'decision' },
      AuditEvent & { type: 'decision' },
    ]
    expect(allowed).toMatchObject({
      schema: 1,
      type: 'decision',
      guard: 'orders',
      outcome: 'allow',
      action: 'GET',
      resource: '/orders',
      protocol: 'https',
      principal: { subject: 'alice' },
      credentials: ['bearer'],
    })
    expect(denied).toMatchObject({ outcome: 'challenge', reason: 'invalid', code: 'ERR_X', claimed: 'mallory', principal: undefined })
    expect(denied.explanation.leaves).toEqual([{ leaf: 'x', outcome: 'invalid', code: 'ERR_X' }])
    expect(allowed.tokenDigest).toBe(again.tokenDigest)
    expect(allowed.tokenDigest).toMatch(/^[\w-]{43}$/)
    expect(denied.tokenDigest).toBe(undefined)
    for (const event of events) {
      for (const text of [JSON.stringify(event), inspect(event, { depth: 9, showHidden: true })]) expect(text).not.toContain('s3cr3t')
      expect(JSON.parse(JSON.stringify(event))).toMatchObject({ guard: 'orders' })
    }
  })

  it('cannot be slowed or broken by a subscriber', async () => {
    const seen: string[] = []
    const guarded = guard({
      authenticate: authenticator('x', () => principal()),
      audit: [
        () => {
          throw new Error('faulty')
        },
        (async () => {
          throw new Error('faulty')
        }) as never,
        (event) => seen.push(event.type),
      ],
    })
    expect((await guarded.decide(request())).outcome).toBe('allow')
    await tick()
    await tick()
    expect(seen).toEqual(['decision'])
  })

  it('is bounded, counts what overflows, and says so in an event', async () => {
    const events: AuditEvent[] = []
    const guarded = guard({ authenticate: authenticator('x', () => principal()), audit: (event) => events.push(event) })
    for (let turn = 0; turn < 12_000; turn++) void guarded.decide(request())
    await tick()
    expect(events.filter((event) => event.type === 'decision').length).toBe(10_000)
    expect(events.filter((event) => event.type === 'overflow')).toMatchObject([{ dropped: 2_000 }])
  })

  it('takes reports, shared by all guards of a family, until one unsubscribes', async () => {
    const events: AuditEvent[] = []
    const top = guard({ authenticate: authenticator('x', () => principal()) })
    const stop = top.subscribe((event) => events.push(event))
    top.with({ authorize: () => ({ outcome: 'granted' }) }).report({ type: 'handshakeRefused', protocol: 'https', code: 'ERR_TLS' })
    await tick()
    stop()
    top.report({ type: 'warning' })
    await tick()
    expect(events).toMatchObject([{ type: 'handshakeRefused', protocol: 'https', code: 'ERR_TLS' }])
  })

  it('names the factors', async () => {
    const events: AuditEvent[] = []
    const guarded = guard({
      authenticate: allOf(
        authenticator('a', () => principal()),
        authenticator('b', () => principal({ subject: 'device' })),
      ),
      audit: (event) => events.push(event),
    })
    await guarded.decide(request())
    await tick()
    expect(events).toMatchObject([{ principal: { subject: 'alice', factors: [{ subject: 'device' }] } }])
  })

  it('feeds OpenTelemetry: counters, durations, spans; no subject and no resource in them', async () => {
    const recorder = new Recorder()
    const guarded = guard({
      name: 'orders',
      authenticate: authenticator('x', () => refused('ERR_X')),
      audit: openTelemetry({ meter: recorder.meter, tracer: recorder.tracer }),
    })
    await guarded.decide(request())
    guarded.report({ type: 'sessionEnded' })
    await tick()
    expect(recorder.counted).toMatchObject([
      ['portcullis.decisions', 1, { 'portcullis.guard': 'orders', 'portcullis.outcome': 'challenge', 'portcullis.code': 'ERR_X' }],
      ['portcullis.events', 1, { 'portcullis.event': 'sessionEnded' }],
    ])
    expect(recorder.spans).toEqual(['portcullis.decide'])
    expect(JSON.stringify(recorder.counted)).not.toContain('/orders')
  })
})
