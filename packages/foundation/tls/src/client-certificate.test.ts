import { manualClock } from '@portcullis/core/testing'
import { isPrincipal, notMine, type AccessRequest, type Channel, type PeerCertificate, type Principal } from '@portcullis/core'
import { describe, expect, it } from 'vitest'

import { attempt, Authority, clientBundle, pair, serve, serverBundle } from './authorities.test-support.ts'
import { clientCertificate, type CertificateRule } from './client-certificate.ts'
import type { CertificateContent } from './write-certificate.ts'

const servers = await Authority.root('Servers')
const partners = await Authority.root('Authority')
const staff = await Authority.root('Authority')

const bundleOf = async () =>
  serverBundle({ identity: await servers.server(), clientCertificates: { accept: { partners: partners.trust, staff: staff.trust } } })

/** Goes through a real handshake, and asks the authenticator about the certificate that the server saw. */
async function judged(rules: Record<string, CertificateRule>, authority: Authority, content: Partial<CertificateContent>) {
  const bundle = await bundleOf()
  const seen = await serve(bundle)
  const { outcome } = await attempt(seen.port, await clientBundle({ trust: servers.trust, identity: pair(await authority.issue(content)) }))
  expect(outcome).toBe('hello')
  return ask(clientCertificate({ tls: bundle, issuers: rules }), seen.peers[0])
}

function ask(leaf: ReturnType<typeof clientCertificate>, certificate: PeerCertificate | undefined) {
  const channel: Channel = { from: 'peer', protocol: 'test', secure: true, ...(certificate && { certificate }) }
  const request: AccessRequest = { credentials: [], action: 'call', resource: '/', attributes: {}, channel }
  return leaf.authenticate(request, { clock: manualClock(), signal: new AbortController().signal })
}

const orders = {
  commonName: 'orders',
  organization: 'Example, Inc.',
  names: { dns: ['orders.example', 'other.example'], email: ['orders@example'], uri: ['spiffe://example/orders'] },
}

describe('clientCertificate', () => {
  const ways: Record<string, [CertificateRule, string]> = {
    subject: [{ by: 'subject', principals: { 'CN=orders,O=Example\\, Inc.': ['read'] } }, 'CN=orders,O=Example\\, Inc.'],
    'common name': [{ by: 'commonName', principals: { orders: ['read'] } }, 'orders'],
    'DNS name': [{ by: 'dns', principals: { 'orders.example': ['read'] } }, 'orders.example'],
    'e-mail address': [{ by: 'email', everyone: { scopes: ['read'] } }, 'orders@example'],
    'SPIFFE identifier': [
      { by: 'uri', principals: { 'spiffe://example/orders': ['read'], 'spiffe://example/other': ['write'] } },
      'spiffe://example/orders',
    ],
  }
  for (const [what, [rule, subject]] of Object.entries(ways)) {
    it(`knows a peer by its ${what}`, async () => {
      const principal = (await judged({ partners: rule }, partners, orders)) as Principal
      expect(isPrincipal(principal)).toBe(true)
      expect(principal).toMatchObject({
        issuer: 'partners',
        subject,
        claims: { subject: 'CN=orders,O=Example\\, Inc.', uri: ['spiffe://example/orders'] },
      })
      expect([...principal.scopes]).toEqual(['read'])
      expect(principal.expiresAt?.getTime()).toBeGreaterThan(Date.now())
      expect(principal.confirmation).toBeUndefined()
    })
  }

  it('knows a peer by the thumbprint of its certificate', async () => {
    const bundle = await bundleOf()
    const seen = await serve(bundle)
    const issued = await partners.issue(orders)
    await attempt(seen.port, await clientBundle({ trust: servers.trust, identity: pair(issued) }))
    const thumbprint = seen.peers[0]?.thumbprint ?? ''
    const principal = ask(
      clientCertificate({ tls: bundle, issuers: { partners: { by: 'thumbprint', principals: { [thumbprint]: ['read'] } } } }),
      seen.peers[0],
    )
    expect(principal).toMatchObject({ subject: thumbprint, expiresAtMs: issued.certificate.validToDate.getTime() })
  })

  it('takes one name of two authorities for two principals', async () => {
    const rules = {
      partners: { by: 'commonName', everyone: { scopes: [] } },
      staff: { by: 'commonName', everyone: { scopes: ['admin'] } },
    } as const
    expect(await judged(rules, partners, orders)).toMatchObject({ issuer: 'partners', subject: 'orders' })
    expect(await judged(rules, staff, orders)).toMatchObject({ issuer: 'staff', subject: 'orders' })
  })

  const strangers: Record<string, [CertificateRule, Partial<CertificateContent>, string]> = {
    'a name that is not listed': [{ by: 'commonName', principals: { other: [] } }, orders, 'ERR_TLS_PEER_UNKNOWN'],
    'a name that only begins alike': [
      { by: 'dns', principals: { 'orders.example.evil': [] } },
      { names: { dns: ['orders.example'] } },
      'ERR_TLS_PEER_UNKNOWN',
    ],
    'a name in other case': [{ by: 'commonName', principals: { orders: [] } }, { commonName: 'Orders' }, 'ERR_TLS_PEER_UNKNOWN'],
    'a common name where a DNS name is asked for': [
      { by: 'dns', principals: { 'orders.example': [] } },
      { commonName: 'orders.example' },
      'ERR_TLS_PEER_UNKNOWN',
    ],
    'a DNS name that spells two': [
      { by: 'dns', principals: { 'orders.example': [] } },
      { names: { dns: ['x, DNS:orders.example'] } },
      'ERR_TLS_PEER_UNKNOWN',
    ],
    'a common name that spells a whole subject': [
      { by: 'subject', principals: { 'CN=orders,O=Example': [] } },
      { commonName: 'orders,O=Example' },
      'ERR_TLS_PEER_UNKNOWN',
    ],
    'a name that every object has': [
      { by: 'commonName', principals: { orders: [] } },
      { commonName: 'constructor' },
      'ERR_TLS_PEER_UNKNOWN',
    ],
    'no such name': [{ by: 'email', everyone: { scopes: [] } }, { commonName: 'orders' }, 'ERR_TLS_PEER_UNKNOWN'],
    'two listed names': [
      { by: 'dns', principals: { 'orders.example': [], 'other.example': ['admin'] } },
      orders,
      'ERR_TLS_PEER_NAME_AMBIGUOUS',
    ],
    'two names where everyone is known': [{ by: 'dns', everyone: { scopes: [] } }, orders, 'ERR_TLS_PEER_NAME_AMBIGUOUS'],
    'two SPIFFE identifiers': [
      { by: 'uri', principals: { 'spiffe://example/orders': [] } },
      { names: { uri: ['spiffe://example/orders', 'spiffe://example/x'] } },
      'ERR_TLS_PEER_NAME_AMBIGUOUS',
    ],
  }
  for (const [what, [rule, content, code]] of Object.entries(strangers)) {
    it(`refuses ${what}`, async () => {
      expect(await judged({ partners: rule }, partners, content)).toMatchObject({ refused: code, reason: 'invalid' })
    })
  }

  it('does not judge a peer without a certificate, or one of an authority without a rule', async () => {
    const leaf = clientCertificate({ tls: await bundleOf(), issuers: { partners: { by: 'commonName', everyone: { scopes: [] } } } })
    expect(leaf.offers).toEqual([])
    expect(ask(leaf, undefined)).toBe(notMine)
    expect(await judged({ partners: { by: 'commonName', everyone: { scopes: [] } } }, staff, orders)).toBe(notMine)
  })

  it('refuses a certificate of an anchor that the bundle does not have', async () => {
    const leaf = clientCertificate({ tls: await bundleOf(), issuers: { partners: { by: 'commonName', everyone: { scopes: [] } } } })
    const { certificate } = await partners.issue()
    expect(ask(leaf, { der: certificate.raw, thumbprint: 'x', anchor: 'elsewhere', notAfter: certificate.validToDate })).toMatchObject({
      refused: 'ERR_TLS_PEER_UNTRUSTED',
    })
  })

  it('knows a peer anew after its anchor got another name', async () => {
    let named: [Authority, Authority] = [partners, staff]
    const source = (at: 0 | 1) => ({
      get pem() {
        return named[at].trust.toString()
      },
    })
    const bundle = await serverBundle({
      identity: await servers.server(),
      clientCertificates: { accept: { partners: source(0), staff: source(1) } },
    })
    const everyone = { by: 'commonName', everyone: { scopes: [] } } as const
    const leaf = clientCertificate({ tls: bundle, issuers: { partners: everyone, staff: everyone } })
    const seen = await serve(bundle)
    await attempt(seen.port, await clientBundle({ trust: servers.trust, identity: pair(await partners.issue(orders)) }))
    const before = ask(leaf, seen.peers[0]) as Principal
    expect(before).toMatchObject({ issuer: 'partners', revoked: false })
    expect(ask(leaf, seen.peers[0])).toBe(before)
    named = [staff, partners]
    await bundle.reload()
    expect(before.revoked).toBe(true)
    expect(ask(leaf, seen.peers[0])).toMatchObject({ issuer: 'staff', revoked: false })
  })

  it('is made of options that are checked', async () => {
    const tls = await bundleOf()
    const wrong: unknown[] = [
      {},
      { tls },
      { tls, issuers: {} },
      { tls, issuers: { nobody: { by: 'dns', everyone: { scopes: [] } } } },
      { tls, issuers: { partners: { by: 'dns' } } },
      { tls, issuers: { partners: { by: 'dns', everyone: { scopes: [] }, principals: { x: [] } } } },
      { tls, issuers: { partners: { by: 'dns', principals: {} } } },
      { tls, issuers: { partners: { by: 'dns', principals: { '': [] } } } },
      { tls, issuers: { partners: { by: 'dns', principals: { x: [''] } } } },
      { tls, issuers: { partners: { by: 'dns', principals: { x: 'read' } } } },
      { tls, issuers: { partners: { by: 'toString', everyone: { scopes: [] } } } },
      { tls, issuers: { partners: { by: 'thumbprint', principals: { 'AB:CD': [] } } } },
      { tls: await clientBundle({ trust: servers.trust }), issuers: { partners: { by: 'dns', everyone: { scopes: [] } } } },
    ]
    for (const options of wrong) {
      expect(() => clientCertificate(options as never)).toThrow(expect.objectContaining({ code: expect.stringMatching(/^ERR_OPTION_/) }))
    }
    expect(() => clientCertificate({ tls, issuers: {}, scope: [] } as never)).toThrow(
      expect.objectContaining({ code: 'ERR_OPTION_UNKNOWN' }),
    )
  })
})
