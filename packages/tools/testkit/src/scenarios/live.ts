import type { Scenario } from '../scenario.ts'

/** A connection, stream or subscription that outlives its credential. The far end is silent all along: timers decide, not frames. */
export const liveScenarios = {
  'live.expiry': {
    title: 'a silent peer receives until its token expires, and nothing afterwards',
    rule: 'RFC 6750 section 5.3',
    async steps(stage) {
      await stage.open({})
      const live = await stage.live({ presents: [{ token: { expiresInSeconds: 300 } }] })
      await stage.delivers(live, 'before')
      await stage.advance(299)
      await stage.delivers(live, 'just before')
      await stage.advance(1)
      await stage.ends(live, 'expired')
    },
  },
  'live.clockStep': {
    title: 'a clock that is set past the expiry is noticed within a minute',
    rule: 'session clock',
    async steps(stage) {
      await stage.open({})
      const live = await stage.live({ presents: [{ token: { expiresInSeconds: 300 } }] })
      await stage.delivers(live, 'before')
      stage.clock.step(stage.clock.now() + 300_000)
      await stage.advance(60)
      await stage.ends(live, 'expired')
    },
  },
  'live.revocation': {
    title: 'a revocation ends the live connection at once; nothing is delivered after it',
    rule: 'RFC 7009 section 2.2',
    async steps(stage) {
      await stage.open({})
      const live = await stage.live({})
      await stage.delivers(live, 'before')
      stage.issuer.revoke({ subject: 'alice' })
      await stage.ends(live, 'revoked')
    },
  },
  'live.revocationOfAnother': {
    title: 'a revocation leaves the connections of others alone',
    rule: 'RFC 7009 section 2.2',
    async steps(stage) {
      await stage.open({})
      const live = await stage.live({ presents: [{ token: { subject: 'bob' } }] })
      stage.issuer.revoke({ subject: 'alice' })
      await stage.delivers(live, 'after')
    },
  },
  'live.reauthentication': {
    title: 'ten renewals in band keep one connection alive, without losing or repeating anything',
    rule: 'session clock',
    async steps(stage) {
      await stage.open({})
      const live = await stage.live({ presents: [{ token: { expiresInSeconds: 60 } }] })
      for (let renewal = 1; renewal <= 10; renewal++) {
        await stage.advance(50)
        await stage.delivers(live, `number ${renewal}`)
        await stage.reauthenticates(live, [{ token: { expiresInSeconds: 60 } }], { outcome: 'allowed' })
      }
      await stage.advance(60)
      await stage.ends(live, 'expired')
    },
  },
  'live.otherSubject': {
    title: 'a renewal as another subject ends the connection',
    rule: 'session clock',
    async steps(stage) {
      await stage.open({})
      const live = await stage.live({})
      await stage.reauthenticates(live, [{ token: { subject: 'bob' } }], { outcome: 'refused' })
      await stage.ends(live, 'subjectChanged')
    },
  },
  'live.refusedReauthentication': {
    title: 'a renewal that is refused changes nothing: the old clock runs on',
    rule: 'session clock',
    async steps(stage) {
      await stage.open({})
      const live = await stage.live({ presents: [{ token: { expiresInSeconds: 60 } }] })
      await stage.reauthenticates(live, [{ token: { expiresInSeconds: 3000, defect: 'tampered' } }], {
        outcome: 'challenged',
        reason: 'invalid',
      })
      await stage.delivers(live, 'still there')
      await stage.advance(60)
      await stage.ends(live, 'expired')
    },
  },
  'live.scopeLost': {
    title: 'a renewal without the scope ends what needed it',
    rule: 'session clock',
    async steps(stage) {
      await stage.open({})
      const live = await stage.live({ presents: [{ token: { expiresInSeconds: 60 } }] })
      const renewal = await stage.reauthenticates(live, [{ token: { scopes: ['orders:other'], expiresInSeconds: 3000 } }])
      if (renewal.outcome === 'allowed') return stage.ends(live)
      // Where the connection is the operation, its own guard judges the renewal: refused, so the old rights run out.
      await stage.delivers(live, 'on the old token')
      await stage.advance(60)
      return stage.ends(live, 'expired')
    },
  },
  'live.policyChange': {
    title: 'what a change of policy no longer admits ends',
    rule: 'session clock',
    async steps(stage) {
      await stage.open({})
      const live = await stage.live({})
      await stage.delivers(live, 'before')
      stage.changePolicy()
      await stage.ends(live)
    },
  },
  'live.certificate': {
    title: 'a connection that rests on a certificate alone ends with the revocation of its holder',
    rule: 'RFC 5280 section 5',
    async steps(stage) {
      await stage.open({ policy: 'certificate', clientCertificates: 'require' })
      const live = await stage.live({ presents: [], certificate: 'alice' })
      await stage.delivers(live, 'before')
      stage.issuer.revoke({ subject: stage.subjectOf('alice') })
      await stage.ends(live, 'revoked')
    },
  },
} as const satisfies Record<string, Scenario>
