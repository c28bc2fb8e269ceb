import http2 from 'node:http2'
import https from 'node:https'
import type { AddressInfo } from 'node:net'
import tls, { type TLSSocket } from 'node:tls'

import { afterEach, describe, expect, it } from 'vitest'

import { developmentTls } from './development.ts'
import { attach, peerCertificateOf, secureClientOptions, secureServerOptions } from './index.ts'

const open: { close(): unknown }[] = []
afterEach(() => {
  for (const one of open.splice(0)) one.close()
})

async function listening(server: tls.Server): Promise<number> {
  open.push(server)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return (server.address() as AddressInfo).port
}

describe('developmentTls', () => {
  it('makes a server that its own client trusts, over HTTPS', async () => {
    const { server: bundle, client } = await developmentTls({ names: ['localhost', 'sts.localhost'] })
    const server = https.createServer(secureServerOptions(bundle), (_request, response) => response.end('hello'))
    attach(server, bundle)
    const port = await listening(server)
    for (const serverName of ['localhost', 'sts.localhost', '127.0.0.1']) {
      const text = await new Promise<string>((resolve, reject) => {
        https
          .get({ port, ...secureClientOptions(client, { host: '127.0.0.1', serverName }) }, (response) =>
            response.once('data', (data) => resolve(String(data))),
          )
          .on('error', reject)
      })
      expect(text).toBe('hello')
    }
  })

  it('hands the certificate of a client to an HTTP/2 handler', async () => {
    const { server: bundle, client, clientFor } = await developmentTls({ clientCertificates: 'accept' })
    const server = http2.createSecureServer(secureServerOptions(bundle, { alpn: ['h2'] }))
    attach(server, bundle)
    server.on('stream', (stream) => {
      const peer = peerCertificateOf(stream.session?.socket as TLSSocket, bundle)
      stream.respond({ ':status': 200 })
      stream.end(peer?.thumbprint ?? 'none')
    })
    const port = await listening(server)
    const ask = async (of: typeof client): Promise<string> => {
      const session = http2.connect(`https://localhost:${port}`, secureClientOptions(of, { host: 'localhost', alpn: ['h2'] }))
      open.push(session)
      return new Promise<string>((resolve, reject) => {
        session.on('error', reject)
        session
          .request({ ':path': '/' })
          .on('data', (data) => resolve(String(data)))
          .on('error', reject)
      })
    }
    expect(await ask(client)).toBe('none')
    expect(await ask(await clientFor('alice'))).toMatch(/^[\w-]{43}$/)
  })

  it('refuses names that are not of this machine', async () => {
    for (const name of ['example.org', 'localhost.example.org', '10.0.0.1', '*.localhost', '']) {
      await expect(developmentTls({ names: [name] })).rejects.toMatchObject({ code: 'ERR_OPTION_INVALID' })
    }
    const { clientFor } = await developmentTls()
    for (const name of ['', '../x', 'Alice', 'a.b']) await expect(clientFor(name)).rejects.toMatchObject({ code: 'ERR_OPTION_INVALID' })
  })

  it('does not trust another development authority', async () => {
    const { server: bundle } = await developmentTls()
    const { client } = await developmentTls()
    const server = tls.createServer(secureServerOptions(bundle))
    attach(server, bundle)
    const port = await listening(server)
    const socket = tls.connect({ port, ...secureClientOptions(client, { host: 'localhost' }) })
    await expect(new Promise((resolve, reject) => socket.on('secureConnect', resolve).on('error', reject))).rejects.toMatchObject({
      code: 'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
    })
  })
})
