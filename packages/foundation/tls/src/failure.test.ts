import { once } from 'node:events'
import { createServer as createPlainServer, type AddressInfo, type Server } from 'node:net'
import { connect, createServer } from 'node:tls'
import { expect, it } from 'vitest'
import { developmentTls, type DevelopmentTls } from './development.ts'
import { attach, secureClientOptions, secureServerOptions, tlsFailureOf, type ClientTlsBundle } from './index.ts'

/** What a client of node:tls sees of a server: the code of the error that ends its connection. */
async function failureAt(server: Server, bundle: ClientTlsBundle, host: string) {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const socket = connect({ ...secureClientOptions(bundle, { host }), host: '127.0.0.1', port })
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

it('says nothing of other codes', () => {
  for (const code of ['ECONNREFUSED', 'ERR_TLS_CONNECT', '', 'constructor']) expect(tlsFailureOf(code)).toBeUndefined()
})
