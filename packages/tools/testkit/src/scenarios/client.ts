import type { Scenario } from '../scenario.ts'

/** The adapter's own client. */
export const clientScenarios = {
  'client.call': {
    title: 'the client presents what its source yields, to the origin that it connects to',
    rule: 'RFC 9700 section 2.3',
    given: { by: 'client' },
    observed: { outcome: 'allowed' },
  },
  'client.certificate': {
    title: 'the client proves itself with its certificate',
    rule: 'RFC 8446 section 4.4.2',
    given: { by: 'client', policy: 'bearerAndCertificate', certificate: 'alice', clientCertificates: 'require' },
    observed: { outcome: 'allowed' },
  },
  'client.untrustedServer': {
    title: 'the client sends no credential to a server of an unknown authority, or one out of date',
    rule: 'RFC 8446 section 4.4.2.4',
    given: [
      { by: 'client', server: 'foreign' },
      { by: 'client', server: 'expired' },
    ],
    observed: { outcome: 'clientRefused' },
    control: { by: 'client' },
  },
  'client.wrongHostName': {
    title: 'the client sends no credential to a server of another name',
    rule: 'RFC 9525 section 6',
    given: { by: 'client', server: 'wrongName' },
    observed: { outcome: 'clientRefused' },
    control: { by: 'client' },
  },
  'client.plaintext': {
    title: 'the client speaks to no port without TLS: not one byte of the credential is sent',
    rule: 'RFC 6750 section 5.3',
    async steps(stage) {
      await stage.open({})
      await stage.refusesPlaintext()
    },
  },
  'client.oneRefresh': {
    title: 'many callers whose credential is refused cause one refresh, and all of them succeed',
    rule: 'RFC 6750 section 3.1',
    async steps(stage) {
      await stage.open({})
      const source = stage.source({ refused: { expiresInSeconds: -60 }, next: {} })
      const client = await stage.client({}, source)
      await Promise.all(Array.from({ length: 20 }, () => stage.expect(client, {}, { outcome: 'allowed' })))
      source.expectRefreshes(1)
    },
  },
  'client.noLoop': {
    title: 'a client whose source has nothing better gives up, and does not send the refused credential again',
    rule: 'RFC 9110 section 15.5.2',
    async steps(stage) {
      await stage.open({})
      const source = stage.source({ refused: { expiresInSeconds: -60 }, next: 'nothing' })
      const client = await stage.client({}, source)
      await stage.expect(client, {}, { outcome: 'refused' })
      stage.expectDecisions(1)
    },
  },
  'client.renewal': {
    title: 'the client renews its credential before each expiry, and its live connection goes on',
    rule: 'session clock',
    async steps(stage) {
      await stage.open({})
      const live = await stage.live({}, await stage.client({}, { source: stage.freshSource(60) }))
      await stage.delivers(live, 'before')
      await stage.renews(180, 2)
      await stage.delivers(live, 'three lifetimes later')
    },
  },
} as const satisfies Record<string, Scenario>
