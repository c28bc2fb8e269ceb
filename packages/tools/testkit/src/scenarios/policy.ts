import { faultOfTheHandler } from '../application.ts'
import type { Scenario } from '../scenario.ts'

/** What the guard's policy makes of it, as the protocol tells it. */
export const policyScenarios = {
  'policy.missingScope': {
    title: 'a token without the scope is forbidden, not challenged for another proof',
    rule: 'RFC 6750 section 3.1',
    given: [{ presents: [{ token: { scopes: [] } }] }, { presents: [{ token: { scopes: ['orders', 'orders:readall'] } }] }],
    observed: { outcome: 'forbidden', reason: 'insufficientScope' },
  },
  'policy.levelRefuses': {
    title: 'an operation with its own level is not reached with the scope of the listener',
    rule: 'the most specific level holds',
    given: { operation: 'write' },
    observed: { outcome: 'forbidden', reason: 'insufficientScope' },
  },
  'policy.levelAllows': {
    title: 'an operation with its own level is reached with its scope',
    rule: 'the most specific level holds',
    given: { operation: 'write', presents: [{ token: { scopes: ['orders:read', 'orders:write'] } }] },
    observed: { outcome: 'allowed' },
  },
  'policy.everyone': {
    title: 'what is open to everyone is open, even to a peer with a certificate, and has no subject',
    rule: 'a client certificate alone is no credential',
    given: [
      { operation: 'public', presents: [] },
      { operation: 'public', presents: [], certificate: 'alice' },
    ],
    observed: { outcome: 'allowed', subject: 'anonymous' },
  },
  'policy.unmatched': {
    title: 'what no level covers is refused',
    rule: 'RFC 9110 section 15.5.5',
    given: { operation: 'nowhere' },
    observed: { outcome: 'refused' },
    control: {},
  },
  'policy.secondFactorMissing': {
    title: 'one factor of two is a challenge',
    rule: 'NIST SP 800-63B section 4.2',
    given: [{ policy: 'bearerAndCertificate' }, { policy: 'bearerAndCertificate', presents: [], certificate: 'alice' }],
    observed: { outcome: 'challenged', reason: 'missing' },
  },
  'policy.secondFactorPresent': {
    title: 'both factors together are allowed, and the first names the subject',
    rule: 'NIST SP 800-63B section 4.2',
    given: { policy: 'bearerAndCertificate', certificate: 'alice' },
    observed: { outcome: 'allowed' },
  },
  'policy.keyServerDown': {
    title: 'where the keys cannot be read nobody can tell: unavailable, never allowed',
    rule: 'RFC 9110 section 15.6.4',
    given: { policy: 'keyServerDown' },
    observed: { outcome: 'unavailable', reason: 'outage' },
  },
  'policy.overload': {
    title: 'a limit of ours is unavailable, and the peer may come again',
    rule: 'RFC 6585 section 4',
    given: { policy: 'overloaded' },
    observed: { outcome: 'unavailable', reason: 'overload' },
  },
  'policy.stepUp': {
    title: 'where a fresher authentication is needed the peer is challenged for one',
    rule: 'RFC 9470 section 3',
    given: { operation: 'elevated' },
    observed: { outcome: 'challenged', reason: 'stepUp' },
  },
  'policy.internalFault': {
    title: 'a fault within a mechanism is unavailable, never allowed',
    rule: 'RFC 9110 section 15.6.1',
    given: { policy: 'faulty' },
    observed: { outcome: 'unavailable', reason: 'internal' },
  },
  'policy.handlerFault': {
    title: 'a fault of the handler tells the peer nothing',
    rule: 'RFC 9457 section 5',
    async steps(stage) {
      const observed = await stage.attempt({ operation: 'broken' })
      if (observed.outcome !== 'unavailable' && observed.outcome !== 'closed')
        throw new Error(`A handler that throws was observed as ${observed.outcome}.`)
      if (observed.wire.includes(faultOfTheHandler)) throw new Error('The peer was told what the handler threw.')
    },
  },
} as const satisfies Record<string, Scenario>
