import { once } from 'node:events'
import { createServer as createPlainServer, type AddressInfo, type Server } from 'node:net'
import { connect, createServer } from 'node:tls'
import { expect, it } from 'vitest'
import { developmentTls, type DevelopmentTls } from './development.ts'
import { attach, secureClientOptions, secureServerOptions, tlsBundle, tlsFailureOf, type ClientTlsBundle } from './index.ts'

/** What a client of node:tls sees of a server: the code of the error that ends its connection. */
async function failureAt(server: Server, bundle: ClientTlsBundle, host: string, early?: string) {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const socket = connect({ ...secureClientOptions(bundle, { host }), host: '127.0.0.1', port })
  if (early !== undefined) socket.write(early)
  const [error] = (await once(socket.resume(), 'error')) as [NodeJS.ErrnoException]
  server.close()
  return tlsFailureOf(error.code ?? error.message)
}

function serverWith({ server: bundle }: DevelopmentTls): Server {
  const server = createServer(secureServerOptions(bundle))
  attach(server, bundle)
  return server
}

it('tells a server that is not trusted', async () => {
  const [tls, other] = [await developmentTls(), await developmentTls()]
  await expect(failureAt(serverWith(tls), other.client, 'localhost')).resolves.toBe('serverUntrusted')
})

it('tells a server of another name', async () => {
  const tls = await developmentTls()
  await expect(failureAt(serverWith(tls), tls.client, 'other.localhost')).resolves.toBe('hostName')
})

it('tells a client that was refused for want of a certificate', async () => {
  const tls = await developmentTls({ clientCertificates: 'require' })
  await expect(failureAt(serverWith(tls), tls.client, 'localhost')).resolves.toBe('certificateRefused')
})

it('tells a server that does not speak TLS', async () => {
  const tls = await developmentTls()
  const plain = createPlainServer((socket) => void socket.on('error', () => undefined).end('220 this is mail\r\n'))
  await expect(failureAt(plain, tls.client, 'localhost')).resolves.toBe('mismatch')
})

it.each([undefined, 'early'])('tells a server that speaks another version of TLS (%s)', async (early) => {
  const tls = await developmentTls()
  const server = createServer({ ...secureServerOptions(tls.server), minVersion: 'TLSv1.2', maxVersion: 'TLSv1.2' })
  const modern = await tlsBundle({ side: 'client', trust: { pem: tls.authority }, versions: ['TLSv1.3'] })
  await expect(failureAt(server, modern, 'localhost', early)).resolves.toBe('mismatch')
  modern.close()
})

it('says nothing of other codes', () => {
  for (const code of ['ECONNREFUSED', 'ERR_TLS_CONNECT', '', 'constructor']) expect(tlsFailureOf(code)).toBeUndefined()
})
