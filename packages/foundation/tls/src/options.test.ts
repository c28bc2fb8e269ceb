import { describe, expect, it } from 'vitest'

import { Authority } from './authorities.test-support.ts'
import { anyHostName, anyServer } from './danger.ts'
import { isTlsBundle, tlsBundle, type ClientTlsOptions } from './index.ts'

const authority = await Authority.root('Authority')
const identity = await authority.server()
const trust = authority.trust

describe('the options of a bundle', () => {
  const wrong: Record<string, unknown> = {
    'no options': undefined,
    'no side': { identity },
    'an unknown side': { side: 'both', identity },
    'a server without a key pair': { side: 'server' },
    'an empty list of key pairs': { side: 'server', identity: [] },
    'a key pair that is text': { side: 'server', identity: 'tls/key.pem' },
    'an option of the other side': { side: 'server', identity, trust },
    'a client that asks for certificates': { side: 'client', clientCertificates: { accept: { trust } } },
    'a misspelt option': { side: 'server', identity, ciphersuites: ['TLS_AES_128_GCM_SHA256'] },
    'verification switched off': { side: 'client', rejectUnauthorized: false },
    'verification switched off by trust': { side: 'client', trust: false },
    'no trust where trust is named': { side: 'client', trust: undefined },
    'a text in place of the symbol': { side: 'client', hostName: 'anyHostName' },
    'the wrong symbol': { side: 'client', hostName: anyServer },
    'a host name that is switched off': { side: 'client', hostName: false },
    'no versions': { side: 'client', versions: [] },
    'an old version': { side: 'client', versions: ['TLSv1.1'] },
    'no cipher suites': { side: 'client', cipherSuites: [] },
    'a weak cipher suite': { side: 'client', cipherSuites: ['AES128-SHA'] },
    'a cipher string': { side: 'client', cipherSuites: ['ALL:@SECLEVEL=0'] },
    'an inherited name as cipher suite': { side: 'client', cipherSuites: ['constructor'] },
    'suites of another version only': { side: 'client', versions: ['TLSv1.3'], cipherSuites: ['ECDHE-RSA-AES128-GCM-SHA256'] },
    'an unknown group': { side: 'client', groups: ['secp160r1'] },
    'no groups': { side: 'client', groups: [] },
    'a boolean for resumption': { side: 'client', resumption: false },
    'no time for a handshake': { side: 'client', handshakeTimeoutMs: 0 },
    'endless time for a handshake': { side: 'client', handshakeTimeoutMs: Number.POSITIVE_INFINITY },
    'NaN for a handshake': { side: 'client', handshakeTimeoutMs: Number.NaN },
    'a look at files without a pause': { side: 'client', checkFilesEveryMs: 0 },
    'a look at files that is switched off by a boolean': { side: 'client', checkFilesEveryMs: false },
    'a session without end': { side: 'server', identity, sessionTimeoutSeconds: 100_000 },
    'a server name that is none': { side: 'server', identity, serverNames: { '*': identity } },
    'a server name with a wildcard inside': { side: 'server', identity, serverNames: { 'a.*.example': identity } },
    'an empty server name': { side: 'server', identity, serverNames: { '': identity } },
    'a server name without a key pair': { side: 'server', identity, serverNames: { 'a.example': undefined } },
    'client certificates without a mode': { side: 'server', identity, clientCertificates: {} },
    'client certificates of two modes': { side: 'server', identity, clientCertificates: { require: { trust }, accept: { trust } } },
    'client certificates without anchors': { side: 'server', identity, clientCertificates: { require: {} } },
    'client certificates of a nameless anchor': { side: 'server', identity, clientCertificates: { require: { '': trust } } },
    'client certificates without trust': { side: 'server', identity, clientCertificates: { require: undefined } },
    'client certificates by boolean': { side: 'server', identity, clientCertificates: { require: true } },
    'anchors that are text': { side: 'server', identity, clientCertificates: { require: { clients: 'ca.pem' } } },
  }
  for (const [what, options] of Object.entries(wrong)) {
    it(`are refused with ${what}`, async () => {
      await expect(tlsBundle(options as never)).rejects.toMatchObject({
        code: expect.stringMatching(/^ERR_OPTION_/),
        family: 'configuration',
      })
    })
  }

  it('name the option that was meant', async () => {
    await expect(tlsBundle({ side: 'server', identity, serverName: {} } as never)).rejects.toThrow(/did you mean "serverNames"/)
  })

  it('make a bundle, and a bundle passes as it is', async () => {
    const bundle = await tlsBundle({ side: 'client', trust })
    expect(await tlsBundle(bundle)).toBe(bundle)
    expect(isTlsBundle(bundle)).toBe(true)
    for (const other of [undefined, null, {}, 'x']) expect(isTlsBundle(other)).toBe(false)
    bundle.close()
    const weakened: Partial<ClientTlsOptions>[] = [{ trust: anyServer }, { hostName: anyHostName, trust }]
    for (const danger of weakened) (await tlsBundle({ side: 'client', ...danger })).close()
  })
})

describe('the material of a bundle', () => {
  it('is checked whole', async () => {
    const other = await authority.issue({ usages: ['serverAuth'] })
    const { key } = identity as { key: object }
    const intermediate = await authority.below('Between')
    const cases: [unknown, string][] = [
      [{ side: 'server', identity: { key, certificates: other.certificate } }, 'mismatch'],
      [{ side: 'server', identity, serverNames: { 'a.example': await authority.client() } }, 'usage'],
      [{ side: 'server', identity: [identity, { pemFile: '/nowhere/key.pem' }] }, 'unreadable'],
      [{ side: 'server', identity, clientCertificates: { accept: { clients: { pem: 'nothing' } } } }, 'malformed'],
      [{ side: 'server', identity, clientCertificates: { accept: { clients: intermediate.trust } } }, 'noAnchor'],
      [{ side: 'server', identity, clientCertificates: { accept: { one: trust, two: trust } } }, 'ambiguous'],
      [
        { side: 'client', trust: (await Authority.root('Old', { notBefore: new Date(0), notAfter: new Date(1_000_000) })).trust },
        'outOfDate',
      ],
    ]
    for (const [options, reason] of cases)
      await expect(tlsBundle(options as never)).rejects.toMatchObject({ code: 'ERR_TLS_MATERIAL', reason })
  })

  it('never stands in an error', async () => {
    const pem = '-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----\n'
    const error = await tlsBundle({ side: 'client', trust, identity: { key: { pem }, certificates: trust } }).catch(
      (reason: unknown) => reason,
    )
    expect(error).toMatchObject({ code: 'ERR_TLS_MATERIAL' })
    expect(String((error as Error).stack)).not.toContain('c2VjcmV0')
  })
})
