/**
 * What a session that is taken up again may prove. The runtimes differ: some say `authorized` of a resumed TLS 1.3
 * session in which no certificate was ever presented (nodejs/node#35317, #64677), some forget intermediates at once
 * (nodejs/node#65579). So these tests run on the lowest Node and on the pinned one.
 */
import { notMine, type AccessRequest } from '@portcullis/core'
import { manualClock } from '@portcullis/core/testing'
import { describe, expect, it } from 'vitest'
import type { ConnectionOptions } from 'node:tls'
import type { KeyPairSource } from '@portcullis/crypto'

import { attempt, Authority, contextOf, dates, serve, serverBundle, type Seen } from './authorities.test-support.ts'
import { tlsBundle, type ServerTlsBundle } from './bundle.ts'
import { clientCertificate } from './client-certificate.ts'
import type { TlsVersion } from './options.ts'

const servers = await Authority.root('Servers')
const clients = await Authority.root('Clients')
const trusting = await tlsBundle({ side: 'client', trust: servers.trust })

async function listener(mode: 'require' | 'accept', version: TlsVersion, clock = manualClock(Date.now())) {
  const trust = { clients: clients.trust }
  const bundle = await serverBundle({
    identity: await servers.server(),
    clientCertificates: mode === 'require' ? { require: trust } : { accept: trust },
    versions: [version],
    clock,
  })
  return { bundle, clock, seen: await serve(bundle) }
}

function principalOf(bundle: ServerTlsBundle, seen: Seen, at: number) {
  const certificate = seen.peers[at]
  const request: AccessRequest = {
    credentials: [],
    action: 'call',
    resource: '/',
    attributes: {},
    channel: { from: 'peer', protocol: 'test', secure: true, ...(certificate && { certificate }) },
  }
  return clientCertificate({ tls: bundle, issuers: { clients: { by: 'commonName', everyone: { scopes: [] } } } }).authenticate(request, {
    clock: manualClock(),
    signal: new AbortController().signal,
  })
}

/** Connects as a client of another make, which may bring a session along. */
async function visit(port: number, identity?: KeyPairSource, session?: Buffer, names: ConnectionOptions = {}) {
  const secureContext = await contextOf(servers.trust, identity)
  return attempt(port, trusting, { secureContext, ...(session && { session }), ...names })
}

describe.each<TlsVersion>(['TLSv1.2', 'TLSv1.3'])('a resumed session of %s', (version) => {
  it('without a certificate has no principal, whatever the runtime says of it', async () => {
    const { bundle, seen } = await listener('accept', version)
    const { session } = await visit(seen.port)
    expect(session).toBeDefined()
    for (const identity of [undefined, await clients.client()]) {
      expect(await visit(seen.port, identity, session)).toMatchObject({ resumed: true, outcome: 'hello' })
      const at = seen.peers.length - 1
      expect(seen.peers[at]).toBeUndefined()
      expect(principalOf(bundle, seen, at)).toBe(notMine)
    }
    expect(seen.refusals).toEqual([])
  })

  it.each(['require', 'accept'] as const)('keeps its certificate, anchor and subject (%s)', async (mode) => {
    const { bundle, seen } = await listener(mode, version)
    const { session } = await visit(seen.port, await clients.client({ commonName: 'alice' }))
    // Whoever holds the session holds the keys that were agreed with the one who presented the certificate.
    expect(await visit(seen.port, undefined, session)).toMatchObject({ resumed: true, outcome: 'hello' })
    expect(seen.peers[1]).toEqual(seen.peers[0])
    expect(principalOf(bundle, seen, 1)).toMatchObject({ issuer: 'clients', subject: 'alice' })
  })

  it('keeps the certificate of a client below an intermediate that the server does not hold', async () => {
    const { bundle, seen } = await listener('accept', version)
    const between = await clients.below('Between')
    const identity = await between.client({ commonName: 'bob' }, [between])
    const { session } = await visit(seen.port, identity)
    expect(await visit(seen.port, identity, session)).toMatchObject({ resumed: true, outcome: 'hello' })
    for (const at of [0, 1]) expect(principalOf(bundle, seen, at)).toMatchObject({ issuer: 'clients', subject: 'bob' })
  })

  it('is taken up at every listener of one bundle', async () => {
    const bundle = await serverBundle({ identity: await servers.server(), versions: [version] })
    const [one, two] = [await serve(bundle), await serve(bundle)]
    const { session } = await visit(one.port)
    expect(await visit(two.port, undefined, session)).toMatchObject({ resumed: true, outcome: 'hello' })
  })

  it('ends with its certificate', async () => {
    const { clock, seen } = await listener('accept', version)
    const identity = await clients.client(dates(-1, 1))
    const { session } = await visit(seen.port, identity)
    expect(await visit(seen.port, identity, session)).toMatchObject({ resumed: true, outcome: 'hello' })
    clock.step(Date.now() + 2 * 86_400_000)
    expect((await visit(seen.port, identity, session)).outcome).not.toBe('hello')
    expect(seen.refusals).toEqual(['ERR_TLS_PEER_OUT_OF_DATE'])
    expect(seen.peers).toHaveLength(2)
  })

  it.each(['require', 'accept'] as const)('does not mend a certificate that was refused (%s)', async (mode) => {
    const { seen } = await listener(mode, version)
    const identity = await (await Authority.root('Clients')).client()
    const { session, outcome } = await visit(seen.port, identity)
    expect(outcome).not.toBe('hello')
    // The client may have been handed a session before it was refused.
    for (const presented of session === undefined ? [identity] : [identity, undefined]) {
      expect((await visit(seen.port, presented, session)).outcome).not.toBe('hello')
    }
    expect(seen.peers).toEqual([])
  })

  it('of one bundle is not taken up at the listener of another', async () => {
    const plain = await serve(await serverBundle({ identity: await servers.server(), versions: [version] }))
    const { seen } = await listener('require', version)
    const { session } = await visit(plain.port)
    expect(session).toBeDefined()
    expect((await visit(seen.port, undefined, session)).outcome).not.toBe('hello')
    expect(seen.refusals).toEqual(['ERR_TLS_PEER_MISSING'])
  })

  it('is taken up under every server name of one bundle, since all have the same trust', async () => {
    const bundle = await serverBundle({
      identity: await servers.server(),
      serverNames: { 'other.example': await servers.server({ names: { dns: ['other.example'] } }) },
      clientCertificates: { accept: { clients: clients.trust } },
      versions: [version],
    })
    const seen = await serve(bundle)
    const identity = await clients.client({ commonName: 'carol' })
    for (const servername of ['localhost', 'other.example']) {
      const names = { servername, checkServerIdentity: () => undefined }
      const { session } = await visit(seen.port, identity, undefined, names)
      expect(await visit(seen.port, undefined, session, names)).toMatchObject({ resumed: true, outcome: 'hello' })
    }
    expect(seen.peers).toHaveLength(4)
    for (const at of [0, 1, 2, 3]) expect(principalOf(bundle, seen, at)).toMatchObject({ subject: 'carol' })
  })
})

describe('a session that a client holds', () => {
  it('is not taken up by another bundle, nor after a change of trust', async () => {
    const { seen } = await listener('accept', 'TLSv1.3')
    const { session } = await attempt(seen.port, trusting)
    const other = await tlsBundle({ side: 'client', trust: servers.trust })
    expect(await attempt(seen.port, trusting, { ...(session && { session }) })).toMatchObject({ resumed: true, outcome: 'hello' })
    expect(await attempt(seen.port, other, { ...(session && { session }) })).toMatchObject({
      outcome: 'ERR_SSL_ATTEMPT_TO_REUSE_SESSION_IN_DIFFERENT_CONTEXT',
    })
  })
})
