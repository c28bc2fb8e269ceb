import type { Scenario } from '../scenario.ts'

/** Proof of possession per call, where the protocol can carry one. */
export const proofScenarios = {
  'proof.sound': {
    title: 'a proof over the method and address of the call is allowed',
    rule: 'RFC 9449 section 4.3',
    async steps(stage) {
      await stage.open({ policy: 'proof' })
      await stage.proves({}, { outcome: 'allowed' })
    },
  },
  'proof.otherTarget': {
    title: 'a proof made for another method or address is refused',
    rule: 'RFC 9449 section 4.3',
    async steps(stage) {
      await stage.open({ policy: 'proof' })
      await stage.proves({ uri: 'https://elsewhere.test/read' }, { outcome: 'challenged', reason: 'invalid' })
      await stage.proves({ method: 'DELETE' }, { outcome: 'challenged', reason: 'invalid' })
    },
  },
  'proof.replayed': {
    title: 'a proof is taken once',
    rule: 'RFC 9449 section 11.1',
    async steps(stage) {
      await stage.open({ policy: 'proof' })
      await stage.proves({ id: 'once' }, { outcome: 'allowed' })
      await stage.proves({ id: 'once' }, { outcome: 'challenged', reason: 'invalid' })
    },
  },
} as const satisfies Record<string, Scenario>
