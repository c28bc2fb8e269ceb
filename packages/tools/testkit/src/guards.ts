import { allOf, everyone, guard, scope, stepUp, type AuditSubscriber, type Guard, type Policy } from '@portcullis/core'

import type { Harness, MechanismSetup } from './harness.ts'
import type { TestIssuer } from './issuer.ts'
import { accessTokens, certificates, faulty, overloaded, proofs } from './mechanisms.ts'
import type { PolicyName } from './scenario.ts'

/** The guards of one scenario: the listener's level, and below it that of each operation. */
export interface TestGuards {
  readonly listener: Guard
  readonly operations: Readonly<Record<'read' | 'write' | 'elevated' | 'public' | 'broken', Guard>>
}

/** Makes the guards of a policy, out of the mechanism of the harness. */
export function guardsOf(name: PolicyName, issuer: TestIssuer, harness: Harness, audit: AuditSubscriber): TestGuards {
  const setup: MechanismSetup = { issuer, keys: name === 'keyServerDown' ? { unreachable: 'https://localhost:1/jwks' } : 'document' }
  const tokens = (): Policy => harness.mechanism?.(setup) ?? accessTokens(setup)
  const policies: Readonly<Record<PolicyName, () => Policy>> = {
    bearer: tokens,
    keyServerDown: tokens,
    certificate: () => certificates(setup),
    bearerAndCertificate: () => allOf(tokens(), certificates(setup)),
    proof: () => proofs(setup),
    overloaded,
    faulty,
  }
  const listener = guard({ authenticate: policies[name](), clock: issuer.clock, audit })
  const read = listener.with({ authorize: scope('orders:read') })
  return {
    listener,
    operations: {
      read,
      write: listener.with({ authorize: scope('orders:write') }),
      elevated: listener.with({ authorize: () => stepUp('fresh', { maxAgeSeconds: 60 }) }),
      public: listener.with({ authenticate: everyone() }),
      broken: read,
    },
  }
}
