import { createPublicKey, X509Certificate } from 'node:crypto'
import tls from 'node:tls'

import { parseCertificate, type KeyPairSource } from '@portcullis/crypto'
import { describe, expect, it } from 'vitest'

import { attempt, Authority, clientBundle, contextOf, dates, listen, pair, serve, serverBundle } from './authorities.test-support.ts'
import type { NamedTrust } from './options.ts'
import { peerCertificateOf } from './peer.ts'
import { secureServerOptions } from './server.ts'
import { anchorsOf, trustOf } from './trust.ts'
import { writeCertificate } from './write-certificate.ts'

const servers = await Authority.root('Servers')
const partners = await Authority.root('Partners')
const staff = await Authority.root('Staff')

async function mutual(mode: 'require' | 'accept', trust: NamedTrust = { partners: partners.trust, staff: staff.trust }) {
  const named = mode === 'require' ? { require: trust } : { accept: trust }
  const bundle = await serverBundle({ identity: await servers.server(), clientCertificates: named })
  return { bundle, seen: await serve(bundle) }
}

async function client(identity?: KeyPairSource) {
  return clientBundle({ trust: servers.trust, ...(identity && { identity }) })
}

/** SHA-256 over the certificate, as the runtime computes it. */
function fingerprint(certificate: X509Certificate): string {
  return Buffer.from(certificate.fingerprint256.replaceAll(':', ''), 'hex').toString('base64url')
}

describe.each(['require', 'accept'] as const)('a server that would %s client certificates', (mode) => {
  it('tells the anchor in which the chain ended', async () => {
    const { seen } = await mutual(mode)
    for (const authority of [partners, staff]) {
      const issued = await authority.issue()
      expect(await attempt(seen.port, await client(pair(issued)))).toMatchObject({ outcome: 'hello' })
      const peer = seen.peers.at(-1)
      expect(peer).toMatchObject({ anchor: fingerprint(authority.trust), thumbprint: fingerprint(issued.certificate) })
      expect(peer?.notAfter).toEqual(issued.certificate.validToDate)
      expect(Buffer.compare(peer?.der ?? Buffer.of(), issued.certificate.raw)).toBe(0)
    }
    expect(seen.refusals).toEqual([])
  })

  const bad: Record<string, { code: string; make: () => Promise<KeyPairSource> }> = {
    'of an unknown authority with a known name': {
      code: 'ERR_TLS_PEER_UNTRUSTED',
      make: async () => (await Authority.root('Partners')).client(),
    },
    'that is self-signed': {
      code: 'ERR_TLS_PEER_UNTRUSTED',
      make: async () => pair(await writeCertificate({ commonName: 'end', ...dates(), usages: ['clientAuth'] })),
    },
    'for servers only': { code: 'ERR_TLS_PEER_USAGE', make: () => partners.client({ usages: ['serverAuth'] }) },
    'without any usage': { code: 'ERR_TLS_PEER_USAGE', make: () => partners.client({ usages: [] }) },
    'that is expired': { code: 'ERR_TLS_PEER_OUT_OF_DATE', make: () => partners.client(dates(-3, -1)) },
    'that is not yet valid': { code: 'ERR_TLS_PEER_OUT_OF_DATE', make: () => partners.client(dates(1, 3)) },
    'issued by an end certificate': {
      code: 'ERR_TLS_PEER_UNTRUSTED',
      make: async () => {
        const end = new Authority(await partners.issue())
        return end.client({}, [end])
      },
    },
    'below an authority that may have none below it': {
      code: 'ERR_TLS_PEER_UNTRUSTED',
      make: async () => {
        const last = await partners.below('Last', { authority: { pathLength: 0 } })
        const tooMany = await last.below('Too many')
        return tooMany.client({}, [tooMany, last])
      },
    },
    'with a name that its authority may not give': {
      code: 'ERR_TLS_PEER_UNTRUSTED',
      make: async () => {
        const bound = await partners.below('Bound', { authority: { pathLength: 0, permitted: { dns: ['bound.example'] } } })
        return bound.client({ names: { dns: ['free.example'] } }, [bound])
      },
    },
  }
  for (const [what, { code, make }] of Object.entries(bad)) {
    it(`refuses a certificate ${what}, and never takes it for none`, async () => {
      const { seen } = await mutual(mode)
      const { outcome } = await attempt(seen.port, await client(), { secureContext: await contextOf(servers.trust, await make()) })
      expect(outcome).not.toBe('hello')
      expect(seen.peers).toEqual([])
      expect(seen.refusals).toEqual([code])
    })
  }
})

describe('no certificate', () => {
  it('is refused where one is required', async () => {
    const { seen } = await mutual('require')
    expect(await attempt(seen.port, await client())).toMatchObject({ outcome: 'ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED' })
    expect(seen.refusals).toEqual(['ERR_TLS_PEER_MISSING'])
    expect(seen.peers).toEqual([])
  })

  it('is none where one is accepted, and where none is asked for', async () => {
    const { seen } = await mutual('accept')
    expect(await attempt(seen.port, await client())).toMatchObject({ outcome: 'hello' })
    expect(seen.peers).toEqual([undefined])
    const plain = await serve(await serverBundle({ identity: await servers.server() }))
    expect(await attempt(plain.port, await client(await partners.client()))).toMatchObject({ outcome: 'hello' })
    expect(plain.peers).toEqual([undefined])
  })
})

describe('chains', () => {
  it('go over intermediates that the client sends, where one anchor is trusted', async () => {
    const { seen } = await mutual('require', { partners: partners.trust })
    const intermediate = await partners.below('Between')
    expect(await attempt(seen.port, await client(await intermediate.client({}, [intermediate])))).toMatchObject({ outcome: 'hello' })
    expect(seen.peers).toMatchObject([{ anchor: expect.any(String) }])
  })

  it('go over intermediates that the server holds, where several anchors are trusted', async () => {
    const intermediate = await partners.below('Between')
    const bundle = await serverBundle({
      identity: await servers.server(),
      clientCertificates: { require: { partners: [intermediate.trust, partners.trust], staff: staff.trust } },
    })
    const seen = await serve(bundle)
    expect(await attempt(seen.port, await client(await intermediate.client({}, [intermediate])))).toMatchObject({ outcome: 'hello' })
    expect(await attempt(seen.port, await client(await intermediate.client()))).toMatchObject({ outcome: 'hello' })
    expect(seen.peers.map((peer) => peer?.anchor)).toEqual(Array(2).fill(fingerprint(partners.trust)))
  })

  it('over intermediates that only the client holds are taken to the right anchor or to none, where several are trusted', async () => {
    const { seen } = await mutual('accept')
    const between = await staff.below('Between')
    const secureContext = await contextOf(servers.trust, await between.client({}, [between]))
    const first = await attempt(seen.port, await client(), { secureContext })
    const second = await attempt(seen.port, await client(), { secureContext, ...(first.session && { session: first.session }) })
    // Some runtimes tell what the client sent, and it is remembered for the resumed session; others do not (nodejs/node#65579).
    if (first.outcome === 'hello')
      expect([second.outcome, seen.refusals, seen.peers.map((peer) => peer?.anchor)]).toEqual([
        'hello',
        [],
        Array(2).fill(fingerprint(staff.trust)),
      ])
    else expect([second.outcome === 'hello', seen.refusals, seen.peers]).toEqual([false, Array(2).fill('ERR_TLS_PEER_CHAIN_HIDDEN'), []])
  })

  it('that could be built in too many ways tell no principal', async () => {
    const { key, subject } = await writeCertificate({ commonName: 'Many', ...dates() })
    const many = await Promise.all(Array.from({ length: 70 }, () => partners.below('Many', { key })))
    const bundle = await serverBundle({
      identity: await servers.server(),
      clientCertificates: { accept: { partners: [partners.trust, ...many.map(({ trust }) => trust)] } },
    })
    const seen = await serve(bundle)
    const identity = pair(
      await writeCertificate({
        commonName: 'end',
        ...dates(),
        usages: ['clientAuth'],
        issuer: { certificate: partners.trust, key, subject },
      }),
    )
    expect((await attempt(seen.port, await client(identity))).outcome).not.toBe('hello')
    expect(seen.refusals).toEqual(['ERR_TLS_PEER_AMBIGUOUS'])
  })

  it('that can end in two anchors of different names tell no principal', async () => {
    const { certificate, key } = await partners.issue({ authority: { pathLength: 0 }, usages: [], commonName: 'Between' })
    const crossed = await staff.issue({ authority: { pathLength: 0 }, usages: [], commonName: 'Between', key })
    const between = new Authority({ certificate, key, subject: crossed.subject })
    const bundle = await serverBundle({
      identity: await servers.server(),
      clientCertificates: { accept: { partners: [certificate, partners.trust], staff: [crossed.certificate, staff.trust] } },
    })
    const seen = await serve(bundle)
    expect(createPublicKey(key).equals(crossed.certificate.publicKey)).toBe(true)
    expect((await attempt(seen.port, await client(await between.client()))).outcome).not.toBe('hello')
    expect(seen.refusals).toEqual(['ERR_TLS_PEER_AMBIGUOUS'])
  })
})

describe('peerCertificateOf', () => {
  it('is the same object at each call, and refuses a closed connection that it never saw', async () => {
    const { bundle, seen } = await mutual('accept')
    await attempt(seen.port, await client(await partners.client()))
    const [socket] = seen.sockets
    if (socket === undefined) throw new Error('no connection')
    expect(peerCertificateOf(socket, bundle)).toBe(seen.peers[0])
    const other = await serverBundle({ identity: await servers.server(), clientCertificates: { accept: { partners: partners.trust } } })
    socket.destroy()
    expect(() => peerCertificateOf(socket, other)).toThrow(expect.objectContaining({ code: 'ERR_TLS_PEER_GONE' }))
  })

  it('refuses a certificate whose anchor has left since', async () => {
    let trust = partners.trust.toString()
    const source = {
      get pem() {
        return trust
      },
    }
    const bundle = await serverBundle({ identity: await servers.server(), clientCertificates: { accept: { partners: source } } })
    const seen = await serve(bundle)
    await attempt(seen.port, await client(await partners.client()))
    const [socket] = seen.sockets
    if (socket === undefined) throw new Error('no connection')
    expect(peerCertificateOf(socket, bundle)).toBe(seen.peers[0])
    trust = staff.trust.toString()
    await bundle.reload()
    expect(() => peerCertificateOf(socket, bundle)).toThrow(expect.objectContaining({ code: 'ERR_TLS_PEER_UNTRUSTED' }))
    expect(socket.destroyed).toBe(true)
  })

  it('refuses, by itself, on a server that nobody attached', async () => {
    const bundle = await serverBundle({ identity: await servers.server(), clientCertificates: { accept: { partners: partners.trust } } })
    const server = tls.createServer(secureServerOptions(bundle))
    const thrown = new Promise((resolve) =>
      server.once('secureConnection', (socket) => {
        try {
          resolve(peerCertificateOf(socket, bundle))
        } catch (error) {
          resolve([(error as { code?: string }).code, socket.destroyed])
        }
      }),
    )
    await attempt(await listen(server), await client(await staff.client()))
    expect(await thrown).toEqual(['ERR_TLS_PEER_UNTRUSTED', true])
  })
})

describe('anchorsOf', () => {
  const trusting = (...authorities: Authority[]) => {
    const trust = trustOf(new Map([['any', authorities.map((authority) => parseCertificate(authority.trust))]]))
    if (trust === undefined) throw new Error('no trust')
    return trust
  }

  it('checks every signature', async () => {
    const { certificate } = await partners.issue()
    const forged = Buffer.from(certificate.raw)
    forged.writeUInt8(forged.readUInt8(forged.length - 1) ^ 1, forged.length - 1)
    const trust = trusting(partners, staff)
    expect(anchorsOf(certificate, [], trust, Date.now())).toMatchObject([{ thumbprint: fingerprint(partners.trust) }])
    expect(new X509Certificate(forged).checkIssued(partners.trust)).toBe(true)
    expect(anchorsOf(new X509Certificate(forged), [], trust, Date.now())).toEqual([])
  })

  it('goes over authorities that are in date only', async () => {
    const between = await partners.below('Between', dates(-3, 1))
    const { certificate } = await between.issue()
    const trust = trusting(partners)
    expect(anchorsOf(certificate, [between.trust], trust, Date.now())).toHaveLength(1)
    expect(anchorsOf(certificate, [], trust, Date.now())).toHaveLength(0)
    for (const days of [-2, 2]) expect(anchorsOf(certificate, [between.trust], trust, Date.now() + days * 86_400_000)).toHaveLength(0)
  })

  it('goes around a ring of authorities that certify each other', async () => {
    const a = await writeCertificate({ commonName: 'a', ...dates(), authority: { pathLength: 5 }, issuer: partners.issued })
    const b = await writeCertificate({ commonName: 'b', ...dates(), authority: { pathLength: 5 }, issuer: a })
    const ring = await writeCertificate({ commonName: 'a', ...dates(), authority: { pathLength: 5 }, issuer: b, key: a.key })
    const { certificate } = await new Authority(b).issue()
    expect(anchorsOf(certificate, [b.certificate, ring.certificate], trusting(partners), Date.now())).toEqual([])
    expect(anchorsOf(certificate, [b.certificate, ring.certificate, a.certificate], trusting(partners), Date.now())).toHaveLength(1)
  })

  it('does not answer where it cannot look at every way', async () => {
    const layers = [partners]
    for (let layer = 0; layer < 9; layer++)
      layers.unshift(await (layers[0] ?? partners).below(`Layer ${layer}`, { authority: { pathLength: 20 } }))
    const { certificate } = await (layers[0] ?? partners).issue()
    expect(
      anchorsOf(
        certificate,
        layers.map(({ trust }) => trust),
        trusting(partners),
        Date.now(),
      ),
    ).toBeUndefined()
    const { key, subject } = await writeCertificate({ commonName: 'Many', ...dates() })
    const many = await Promise.all(Array.from({ length: 65 }, () => partners.below('Many', { key })))
    const leaf = await writeCertificate({ commonName: 'end', ...dates(), issuer: { certificate: partners.trust, key, subject } })
    const sent = many.map(({ trust }) => trust)
    expect(anchorsOf(leaf.certificate, sent.slice(0, 20), trusting(partners), Date.now())).toHaveLength(1)
    expect(anchorsOf(leaf.certificate, sent, trusting(partners, staff), Date.now())).toBeUndefined()
  })
})
