import type { Scenario } from '../scenario.ts'

const invalid = { outcome: 'challenged', reason: 'invalid' } as const
const token = (facts: object) => ({ presents: [{ token: facts }] })

/** What is presented, and what of it may pass. */
export const credentialScenarios = {
  'credential.sound': {
    title: 'a sound token is allowed, and the handler sees its subject',
    rule: 'RFC 6750 section 2.1',
    given: [{}, { policy: 'bearer', presents: [{ token: { audience: ['invoices', 'orders'] } }] }],
    observed: { outcome: 'allowed' },
  },
  'credential.none': {
    title: 'no credential is a challenge',
    rule: 'RFC 9110 section 11.6.1',
    given: { presents: [] },
    observed: { outcome: 'challenged', reason: 'missing' },
  },
  'credential.challengeNamesScheme': {
    title: 'the challenge names the scheme on offer',
    rule: 'RFC 9110 section 11.3',
    given: { presents: [] },
    observed: { outcome: 'challenged', scheme: 'Bearer' },
  },
  'credential.wrongKind': {
    title: 'a credential of a kind that nobody judges is a challenge',
    rule: 'RFC 9110 section 11.6.1',
    given: { presents: [{ basic: { username: 'alice', password: 'open-sesame-4711' } }] },
    observed: { outcome: 'challenged' },
  },
  'credential.malformed': {
    title: 'what cannot be read is refused, never taken for nothing',
    rule: 'RFC 6750 section 3.1',
    given: ['Bearer', 'Bearer two words-that-nobody-may-see-4711', 'Basic !!!', 'Bearer ,'].map((raw) => ({ presents: [{ raw }] })),
    observed: { outcome: 'challenged', reason: 'malformed' },
  },
  'credential.twoInOneCarrier': {
    title: 'two credentials in one carrier are refused, even if both are sound',
    rule: 'RFC 9110 section 5.3',
    given: { presents: [{ token: {} }, { token: { subject: 'bob' }, place: 'same' }] },
    observed: { outcome: 'challenged', reason: 'malformed' },
  },
  'credential.oneKindInTwoCarriers': {
    title: 'one kind in two carriers is refused, even if both are sound',
    rule: 'RFC 6750 section 2',
    given: { presents: [{ token: {} }, { token: { subject: 'bob' }, place: 'second' }] },
    observed: { outcome: 'challenged', reason: 'malformed' },
  },
  'credential.expired': {
    title: 'an expired token is refused, from the very second on',
    rule: 'RFC 7519 section 4.1.4',
    given: [token({ expiresInSeconds: -60 }), token({ expiresInSeconds: 0 })],
    observed: invalid,
  },
  'credential.noExpiry': {
    title: 'a token without an expiry is refused',
    rule: 'RFC 9068 section 2.2',
    given: token({ expiresInSeconds: 'never' }),
    observed: invalid,
  },
  'credential.notYetValid': {
    title: 'a token before its time is refused',
    rule: 'RFC 7519 section 4.1.5',
    given: token({ notBeforeInSeconds: 120 }),
    observed: invalid,
  },
  'credential.wrongAudience': {
    title: 'a token for a neighbour is refused',
    rule: 'RFC 8725 section 3.9',
    given: [token({ audience: 'invoices' }), token({ audience: ['invoices', 'order'] })],
    observed: invalid,
  },
  'credential.wrongIssuer': {
    title: 'a token of another issuer is refused, though the key is right',
    rule: 'RFC 8725 section 3.8',
    given: token({ issuer: 'https://elsewhere.test' }),
    observed: invalid,
  },
  'credential.unsigned': {
    title: 'an unsigned token is refused',
    rule: 'RFC 8725 section 3.2',
    given: token({ defect: 'unsigned' }),
    observed: { outcome: 'challenged' },
  },
  'credential.algorithmConfusion': {
    title: 'an HMAC made with the public key is refused',
    rule: 'RFC 8725 section 2.1',
    given: token({ defect: 'algorithmConfusion' }),
    observed: invalid,
  },
  'credential.unknownKey': {
    title: 'a token by a key that the issuer does not have is refused, whatever it calls the key',
    rule: 'RFC 8725 section 3.5',
    given: [token({ defect: 'unknownKey' }), token({ defect: 'foreignKey' })],
    observed: invalid,
  },
  'credential.tampered': {
    title: 'a token that was changed after signing is refused',
    rule: 'RFC 7515 section 5.2',
    given: token({ defect: 'tampered' }),
    observed: invalid,
  },
  'credential.oversized': {
    title: 'a credential beyond every sound size is refused within a bound',
    rule: 'RFC 9110 section 5.4',
    given: { presents: [{ raw: `Bearer ${'A'.repeat(70_000)}` }] },
    observed: { outcome: 'refused' },
    control: {},
  },
} as const satisfies Record<string, Scenario>
