import type { Scenario } from '../scenario.ts'

/** What the channel proves, and what it must not let through. */
export const channelScenarios = {
  'channel.certificate': {
    title: 'a client certificate proves its holder',
    rule: 'RFC 8446 section 4.4.2',
    given: { policy: 'certificate', presents: [], certificate: 'alice', clientCertificates: 'require' },
    observed: { outcome: 'allowed', subject: 'certificate' },
  },
  'channel.certificateMissing': {
    title: 'without the certificate that is required there is no answer',
    rule: 'RFC 8446 section 4.4.2.4',
    given: { policy: 'certificate', presents: [], clientCertificates: 'require' },
    observed: { outcome: 'closed' },
    control: { policy: 'certificate', presents: [], certificate: 'alice', clientCertificates: 'require' },
  },
  'channel.certificateForeign': {
    title: 'a certificate of another authority is a refusal, never "no certificate"',
    rule: 'RFC 5280 section 6.1',
    given: { certificate: 'foreign' },
    observed: { outcome: 'closed' },
    control: { certificate: 'alice' },
  },
  'channel.certificateExpired': {
    title: 'an expired certificate is a refusal',
    rule: 'RFC 5280 section 4.1.2.5',
    given: { certificate: 'expired' },
    observed: { outcome: 'closed' },
    control: { certificate: 'alice' },
  },
  'channel.certificateUsage': {
    title: 'a certificate that is not meant for clients is a refusal',
    rule: 'RFC 5280 section 4.2.1.12',
    given: { certificate: 'serverOnly' },
    observed: { outcome: 'closed' },
    control: { certificate: 'alice' },
  },
  'channel.boundToThis': {
    title: 'a token bound to the certificate of the channel is allowed',
    rule: 'RFC 8705 section 3',
    given: { certificate: 'alice', presents: [{ token: {}, boundTo: 'alice' }] },
    observed: { outcome: 'allowed' },
  },
  'channel.boundToOther': {
    title: 'a token bound to another certificate is refused',
    rule: 'RFC 8705 section 3',
    given: { certificate: 'bob', presents: [{ token: {}, boundTo: 'alice' }] },
    observed: { outcome: 'challenged', reason: 'invalid' },
  },
  'channel.boundToNone': {
    title: 'a bound token does not pass as a plain bearer token',
    rule: 'RFC 7800 section 3.1',
    given: [
      { presents: [{ token: {}, boundTo: 'alice' }] },
      { presents: [{ token: { confirmation: { jkt: 'NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs' } } }] },
    ],
    observed: { outcome: 'challenged', reason: 'invalid' },
  },
  'channel.plaintext': {
    title: 'a peer that leaves TLS out gets no answer',
    rule: 'RFC 6750 section 5.3',
    given: { plaintext: true },
    observed: { outcome: 'closed' },
    control: {},
  },
  'channel.swap': {
    title: 'a certificate is exchanged while the listener serves: who trusts the new one comes in, and nobody loses a connection',
    rule: 'RFC 8446 section 4.1.2: there is no renegotiation',
    async steps(stage) {
      await stage.open({})
      const before = stage.peer({})
      await stage.expect(before, {}, { outcome: 'allowed' })
      await stage.swapServer('renewed')
      await stage.expect(stage.peer({ trusts: 'renewed' }), {}, { outcome: 'allowed' })
      await stage.expect(stage.peer({ trusts: 'sound' }), {}, { outcome: 'closed' })
      await stage.expect(before, {}, { outcome: 'allowed' })
    },
  },
} as const satisfies Record<string, Scenario>
