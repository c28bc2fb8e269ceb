import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import https from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TLSSocket } from 'node:tls'

import { expect, it, onTestFinished } from 'vitest'

import { Authority, clientBundle, listen, serverBundle } from './authorities.test-support.ts'
import { secureClientOptions } from './client.ts'
import { peerCertificateOf } from './peer.ts'
import { attach, secureServerOptions } from './server.ts'

const rotations = 60
const clientsAtOnce = 6

// Each rotation writes the files in place, one after the other, while clients connect without a pause; reading them
// half-written happens, and must leave the last good pair in use.
it('loses no handshake on HTTPS while key pair and trust anchors rotate', { timeout: 60_000 }, async () => {
  const path = await mkdtemp(join(tmpdir(), 'portcullis-rotation-'))
  onTestFinished(() => rm(path, { recursive: true }))
  const [servers, clients] = [await Authority.root('Servers'), await Authority.root('Clients')]
  const file = (name: string) => join(path, name)
  const write = async (): Promise<void> => {
    const { key, certificate } = await servers.issue({ commonName: 'server', usages: ['serverAuth'], names: { dns: ['localhost'] } })
    await writeFile(file('tls.crt'), certificate.toString())
    await writeFile(file('tls.key'), key.export({ type: 'pkcs8', format: 'pem' }).toString())
    // The clients' own authority stays; another one comes with each rotation and leaves with the next.
    await writeFile(file('clients.pem'), clients.trust.toString() + (await Authority.root('Passing')).trust.toString())
  }
  await write()
  const bundle = await serverBundle({
    identity: { key: { pemFile: file('tls.key') }, certificates: { pemFile: file('tls.crt') } },
    clientCertificates: { require: { clients: { pemFile: file('clients.pem') } } },
    checkFilesEveryMs: 100,
  })
  const problems: string[] = []
  let reloads = 0
  bundle.subscribe((event) => {
    if (event.type === 'handshakeRefused') problems.push(event.code)
    if (event.type === 'reloaded') reloads += 1
  })
  const server = https.createServer(secureServerOptions(bundle), (request, response) => {
    response.setHeader('connection', 'close')
    response.end(peerCertificateOf(request.socket as TLSSocket, bundle)?.thumbprint ?? 'none')
  })
  attach(server, bundle)
  const port = await listen(server)
  const client = await clientBundle({ trust: servers.trust, identity: await clients.client() })
  // Keeps sessions, so that some handshakes are resumed ones; and connections are never used twice.
  const agent = new https.Agent({ ...secureClientOptions(client, { host: 'localhost' }), keepAlive: false })
  onTestFinished(() => agent.destroy())
  let answered = 0
  const stop = new AbortController()
  const serials = new Set<string>()
  const call = () =>
    new Promise<void>((resolve) => {
      const request = https.get({ host: '127.0.0.1', servername: 'localhost', port, agent }, (response) => {
        serials.add((response.socket as TLSSocket).getPeerX509Certificate()?.serialNumber ?? 'resumed')
        response.resume().on('end', resolve)
        answered += 1
      })
      request.on('error', (error) => {
        problems.push(String(error))
        resolve()
      })
    })
  const load = Array.from({ length: clientsAtOnce }, async () => {
    while (!stop.signal.aborted) await call()
  })
  for (let rotation = 0; rotation < rotations; rotation++) {
    await write()
    await bundle.reload()
    await call()
  }
  stop.abort()
  await Promise.all(load)
  expect(problems).toEqual([])
  expect(reloads).toBeGreaterThanOrEqual(rotations)
  expect(answered).toBeGreaterThan(rotations * 2)
  expect(serials.size).toBeGreaterThan(rotations / 2)
})
