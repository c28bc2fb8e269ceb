import { mkdir, mkdtemp, rename, rm, symlink, writeFile } from 'node:fs/promises'
import { createServer, connect as netConnect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import type { Principal } from '@portcullis/core'
import { manualClock } from '@portcullis/core/testing'
import { describe, expect, it, onTestFinished } from 'vitest'

import { attempt, Authority, clientBundle, dates, listen, pair, serve, serverBundle, until, type Seen } from './authorities.test-support.ts'
import { clientCertificate } from './client-certificate.ts'
import { connectTls } from './client.ts'
import type { TlsEvent } from './bundle.ts'
import type { TlsVersion } from './options.ts'
import type { Issued } from './write-certificate.ts'

const servers = await Authority.root('Servers')
const serverContent = { commonName: 'server', usages: ['serverAuth'], names: { dns: ['localhost'] } } as const

async function folder(): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'portcullis-tls-'))
  onTestFinished(() => rm(path, { recursive: true }))
  return path
}

const pem = ({ key, certificate }: Issued) => ({
  key: key.export({ type: 'pkcs8', format: 'pem' }).toString(),
  certificate: certificate.toString(),
})

async function writePair(path: string, issued: Issued): Promise<void> {
  const { key, certificate } = pem(issued)
  await writeFile(join(path, 'tls.crt'), certificate)
  await writeFile(join(path, 'tls.key'), key)
}

const filesIn = (path: string) => ({ key: { pemFile: join(path, 'tls.key') }, certificates: { pemFile: join(path, 'tls.crt') } })

async function serialSeen(seen: Seen): Promise<string> {
  const { socket, outcome } = await attempt(seen.port, await clientBundle({ trust: servers.trust }))
  expect(outcome).toBe('hello')
  return socket.getPeerX509Certificate()?.serialNumber ?? outcome
}

describe('a key pair in files', () => {
  it('is exchanged on every listener, and open connections go on', async () => {
    const path = await folder()
    const first = await servers.issue(serverContent)
    const second = await servers.issue({ ...serverContent, ...dates(-1, 5) })
    await writePair(path, first)
    const bundle = await serverBundle({ identity: filesIn(path), checkFilesEveryMs: 'off' })
    const listeners = [await serve(bundle), await serve(bundle)]
    for (const seen of listeners) expect(await serialSeen(seen)).toBe(first.certificate.serialNumber)
    expect(bundle.expiresAt).toEqual(first.certificate.validToDate)
    await writePair(path, second)
    for (const seen of listeners) expect(await serialSeen(seen)).toBe(first.certificate.serialNumber)
    await bundle.reload()
    for (const seen of listeners) expect(await serialSeen(seen)).toBe(second.certificate.serialNumber)
    expect(bundle.expiresAt).toEqual(second.certificate.validToDate)
    expect(listeners[0]?.events).toEqual([{ type: 'reloaded', trustChanged: false, expiresAt: second.certificate.validToDate }])
    const [old] = listeners[0]?.sockets ?? []
    expect(old?.destroyed).toBe(false)
    expect(old?.write('still here')).toBe(true)
  })

  it('is found by looking at the files, also behind a link that is exchanged', async () => {
    // As Kubernetes mounts a secret: the files are links into ..data, which is itself a link that is renamed over.
    const path = await folder()
    const versions = [await servers.issue(serverContent), await servers.issue(serverContent)]
    for (const [at, issued] of versions.entries()) {
      await mkdir(join(path, `..${at}`))
      await writePair(join(path, `..${at}`), issued)
    }
    await symlink('..0', join(path, '..data'))
    for (const name of ['tls.crt', 'tls.key']) await symlink(join('..data', name), join(path, name))
    const clock = manualClock(Date.now())
    const bundle = await serverBundle({ identity: filesIn(path), clock })
    const seen = await serve(bundle)
    await clock.advanceAsync(10_000)
    await new Promise((resolve) => setTimeout(resolve, 50))
    expect(seen.events).toEqual([])
    await symlink('..1', join(path, '..data_tmp'))
    await rename(join(path, '..data_tmp'), join(path, '..data'))
    await clock.advanceAsync(10_000)
    await until(() => seen.events.length > 0)
    expect(seen.events).toMatchObject([{ type: 'reloaded', trustChanged: false }])
    expect(await serialSeen(seen)).toBe(versions[1]?.certificate.serialNumber)
  })

  const broken: Record<string, { reason: string; spoil: (path: string) => Promise<void> }> = {
    'is half written': {
      reason: 'mismatch',
      spoil: async (path) => writeFile(join(path, 'tls.crt'), pem(await servers.issue(serverContent)).certificate),
    },
    'is cut short': {
      reason: 'malformed',
      spoil: async (path) => writeFile(join(path, 'tls.crt'), pem(await servers.issue(serverContent)).certificate.slice(0, 300)),
    },
    'is empty': { reason: 'malformed', spoil: (path) => writeFile(join(path, 'tls.key'), '') },
    'is gone': { reason: 'unreadable', spoil: (path) => rm(join(path, 'tls.crt')) },
    'is expired': {
      reason: 'outOfDate',
      spoil: async (path) => writePair(path, await servers.issue({ ...serverContent, ...dates(-3, -1) })),
    },
    'is not yet valid': {
      reason: 'outOfDate',
      spoil: async (path) => writePair(path, await servers.issue({ ...serverContent, ...dates(1, 3) })),
    },
    'is meant for clients': {
      reason: 'usage',
      spoil: async (path) => writePair(path, await servers.issue({ ...serverContent, usages: ['clientAuth'] })),
    },
  }
  for (const [what, { reason, spoil }] of Object.entries(broken)) {
    it(`that ${what} leaves the last good one in use, is told once, and is taken when it is mended`, async () => {
      const path = await folder()
      const first = await servers.issue(serverContent)
      await writePair(path, first)
      const clock = manualClock(Date.now())
      const bundle = await serverBundle({ identity: filesIn(path), clock })
      const seen = await serve(bundle)
      await spoil(path)
      await expect(bundle.reload()).rejects.toMatchObject({ code: 'ERR_TLS_RELOAD', reason, family: 'configuration' })
      await clock.advanceAsync(10_000)
      await bundle.reload().catch(() => undefined)
      expect(seen.events).toMatchObject([{ type: 'reloadFailed', error: { code: 'ERR_TLS_RELOAD', reason } }])
      expect(await serialSeen(seen)).toBe(first.certificate.serialNumber)
      const mended = await servers.issue(serverContent)
      await writePair(path, mended)
      await clock.advanceAsync(10_000)
      await until(() => seen.events.length > 1)
      expect(seen.events.at(-1)).toMatchObject({ type: 'reloaded' })
      expect(await serialSeen(seen)).toBe(mended.certificate.serialNumber)
      await clock.advanceAsync(10_000)
      await new Promise((resolve) => setTimeout(resolve, 20))
      expect(seen.events).toHaveLength(2)
    })

    it(`that ${what} makes no bundle`, async () => {
      const path = await folder()
      await writePair(path, await servers.issue(serverContent))
      await spoil(path)
      await expect(serverBundle({ identity: filesIn(path) })).rejects.toMatchObject({ code: 'ERR_TLS_MATERIAL', reason })
    })
  }

  it('is reloaded by overlapping calls one after another, and not after the bundle was closed', async () => {
    const path = await folder()
    await writePair(path, await servers.issue(serverContent))
    const bundle = await serverBundle({ identity: filesIn(path) })
    const events: TlsEvent[] = []
    bundle.subscribe(() => {
      throw new Error('a faulty subscriber')
    })
    const stop = bundle.subscribe((event) => events.push(event))
    await Promise.all([bundle.reload(), bundle.reload(), bundle.reload()])
    expect(events).toHaveLength(3)
    stop()
    await bundle.reload()
    expect(events).toHaveLength(3)
    bundle.close()
    await expect(bundle.reload()).rejects.toMatchObject({ code: 'ERR_TLS_BUNDLE_CLOSED' })
  })

  it('is no longer looked at when the bundle is closed', async () => {
    const path = await folder()
    await writePair(path, await servers.issue(serverContent))
    const clock = manualClock(Date.now())
    const bundle = await serverBundle({ identity: filesIn(path), clock })
    expect(clock.pending).toBe(2)
    bundle.close()
    expect(clock.pending).toBe(0)
  })
})

describe.each<TlsVersion>(['TLSv1.2', 'TLSv1.3'])('sessions of %s', (version) => {
  const options = { versions: [version] } as const

  it('are resumed while nothing changes, and not after a reload or half a day', async () => {
    const path = await folder()
    await writePair(path, await servers.issue(serverContent))
    const clock = manualClock(Date.now())
    const bundle = await serverBundle({ identity: filesIn(path), clock, checkFilesEveryMs: 'off', ...options })
    const seen = await serve(bundle)
    const client = await clientBundle({ trust: servers.trust })
    const taken = async () => (await attempt(seen.port, client)).session
    const resumes = async (session: Buffer | undefined) => {
      expect(session).toBeDefined()
      const { resumed, outcome } = await attempt(seen.port, client, { ...(session && { session }) })
      expect(outcome).toBe('hello')
      return resumed
    }
    expect(await resumes(await taken())).toBe(true)
    const before = await taken()
    await bundle.reload()
    expect(await resumes(before)).toBe(false)
    const later = await taken()
    clock.advance(12 * 3_600_000)
    expect(await resumes(later)).toBe(false)
  })

  it('are not resumed where that is switched off', async () => {
    const seen = await serve(await serverBundle({ identity: await servers.server(), resumption: 'off', ...options }))
    const client = await clientBundle({ trust: servers.trust })
    const { session } = await attempt(seen.port, client)
    expect((await attempt(seen.port, client, { ...(session && { session }) })).resumed).toBe(false)
  })
})

describe.each<TlsVersion>(['TLSv1.2', 'TLSv1.3'])('a trust anchor that leaves, over %s', (version) => {
  it('takes its sessions and connections along, and no others', async () => {
    const path = await folder()
    const [leaving, staying] = [await Authority.root('Clients'), await Authority.root('Clients')]
    await writeFile(join(path, 'leaving.pem'), leaving.trust.toString())
    await writeFile(join(path, 'staying.pem'), staying.trust.toString())
    const clock = manualClock(Date.now())
    const bundle = await serverBundle({
      identity: await servers.server(),
      clientCertificates: { accept: { leaving: { pemFile: join(path, 'leaving.pem') }, staying: { pemFile: join(path, 'staying.pem') } } },
      clock,
      versions: [version],
    })
    const seen = await serve(bundle)
    const leaf = clientCertificate({
      tls: bundle,
      issuers: { leaving: { by: 'commonName', everyone: { scopes: [] } }, staying: { by: 'commonName', everyone: { scopes: [] } } },
    })
    const principalOf = (at: number) => {
      const certificate = seen.peers[at]
      if (certificate === undefined) throw new Error('no certificate')
      const channel = { from: 'peer', protocol: 'test', secure: true, certificate } as const
      return leaf.authenticate(
        { credentials: [], action: 'call', resource: '/', attributes: {}, channel },
        { clock, signal: new AbortController().signal },
      )
    }
    const identities = { leaving: pair(await leaving.issue()), staying: pair(await staying.issue()) }
    const clients = {
      leaving: await clientBundle({ trust: servers.trust, identity: identities.leaving }),
      staying: await clientBundle({ trust: servers.trust, identity: identities.staying }),
    }
    const old = { leaving: await attempt(seen.port, clients.leaving), staying: await attempt(seen.port, clients.staying) }
    const ended: string[] = []
    const [first, second] = [principalOf(0), principalOf(1)] as Principal[]
    first?.revocations[0]?.subscribe((reason) => ended.push(reason))
    expect([first?.issuer, first?.revoked, second?.issuer, second?.revoked]).toEqual(['leaving', false, 'staying', false])
    // It worked before: the session is resumed, with its certificate.
    const resumed = await attempt(seen.port, clients.leaving, { ...(old.leaving.session && { session: old.leaving.session }) })
    expect([resumed.resumed, resumed.outcome]).toEqual([true, 'hello'])
    expect(seen.peers[2]?.thumbprint).toBe(seen.peers[0]?.thumbprint)

    // Another authority of the same name takes the place of the one that leaves.
    await writeFile(join(path, 'leaving.pem'), (await Authority.root('Clients')).trust.toString())
    await bundle.reload()
    expect(seen.events).toMatchObject([{ type: 'reloaded', trustChanged: true }])
    expect([first?.revoked, second?.revoked]).toEqual([true, false])
    expect(ended).toEqual(['The trust anchor left the bundle.'])
    expect(principalOf(0)).toMatchObject({ refused: 'ERR_TLS_PEER_UNTRUSTED' })
    expect(seen.sockets.map(({ destroyed }) => destroyed)).toEqual([false, false, false])
    clock.advance(1_000)
    expect(seen.sockets.map(({ destroyed }) => destroyed)).toEqual([true, false, true])

    const again = await attempt(seen.port, clients.leaving, { ...(old.leaving.session && { session: old.leaving.session }) })
    expect([again.resumed, again.outcome === 'hello']).toEqual([false, false])
    expect(seen.refusals).toEqual(['ERR_TLS_PEER_UNTRUSTED'])
    const stayed = await attempt(seen.port, clients.staying, { ...(old.staying.session && { session: old.staying.session }) })
    expect([stayed.resumed, stayed.outcome]).toEqual([false, 'hello'])
  })
})

describe('a handshake that began before the trust changed', () => {
  it.each(['at once', 'over an intermediate'])('is judged by the new trust, its chain ending %s in an anchor that left', async (way) => {
    const path = await folder()
    const [before, after] = [await Authority.root('Clients'), await Authority.root('Clients')]
    await writeFile(join(path, 'trust.pem'), before.trust.toString())
    const bundle = await serverBundle({
      identity: await servers.server(),
      clientCertificates: { require: { clients: { pemFile: join(path, 'trust.pem') } } },
      checkFilesEveryMs: 'off',
    })
    const seen = await serve(bundle)
    const between = await before.below('Between')
    const identity = way === 'at once' ? await before.client() : await between.client({}, [between])
    const client = await clientBundle({ trust: servers.trust, identity })
    expect(await attempt(seen.port, client)).toMatchObject({ outcome: 'hello' })
    await writeFile(join(path, 'trust.pem'), after.trust.toString())
    // The server's first answer waits on its way until the reload is done; the client's certificate comes after it.
    const relay = createServer((socket) => {
      const upstream = netConnect(seen.port, '127.0.0.1')
      for (const end of [socket, upstream]) end.on('error', () => undefined)
      socket.on('data', (data) => upstream.write(data)).on('close', () => upstream.destroy())
      upstream.once('data', (answer) => {
        upstream.pause()
        void bundle.reload().then(() => {
          socket.write(answer)
          upstream.on('data', (data) => socket.write(data)).on('close', () => socket.destroy())
          return upstream.resume()
        })
      })
    })
    expect((await attempt(await listen(relay), client)).outcome).not.toBe('hello')
    expect(seen.refusals).toEqual(['ERR_TLS_PEER_UNTRUSTED'])
    expect(seen.peers).toHaveLength(1)
  })
})

describe('a client', () => {
  it('trusts and presents what was reloaded, and leaves a server that it no longer trusts', async () => {
    const path = await folder()
    const [one, two] = [await Authority.root('One'), await Authority.root('Two')]
    await writeFile(join(path, 'trust.pem'), one.trust.toString())
    const clock = manualClock(Date.now())
    const bundle = await clientBundle({ trust: { pemFile: join(path, 'trust.pem') }, clock })
    const ofOne = await serve(await serverBundle({ identity: await one.server() }))
    const ofTwo = await serve(await serverBundle({ identity: await two.server() }))
    const connect = (seen: Seen) => connectTls(bundle, { host: '127.0.0.1', serverName: 'localhost', port: seen.port })
    const socket = await connect(ofOne)
    onTestFinished(() => void socket.destroy())
    await expect(connect(ofTwo)).rejects.toMatchObject({ code: 'ERR_TLS_SERVER_UNTRUSTED' })
    await writeFile(join(path, 'trust.pem'), one.trust.toString() + two.trust.toString())
    await bundle.reload()
    ;(await connect(ofTwo)).destroy()
    clock.advance(1_000)
    expect(socket.destroyed).toBe(false)
    await writeFile(join(path, 'trust.pem'), two.trust.toString())
    await bundle.reload()
    await expect(connect(ofOne)).rejects.toMatchObject({ code: 'ERR_TLS_SERVER_UNTRUSTED' })
    expect(socket.destroyed).toBe(false)
    clock.advance(1_000)
    expect(socket.destroyed).toBe(true)
  })
})
