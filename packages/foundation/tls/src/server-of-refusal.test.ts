import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { connect, createServer, type Server } from 'node:tls'
import { expect, it } from 'vitest'
import { attach, secureServerOptions, type TlsEvent } from './index.ts'
import { developmentTls } from './development.ts'

it('tells which of the servers of one bundle refused a handshake', async () => {
  const { server: bundle } = await developmentTls({ clientCertificates: 'require' })
  const servers: Server[] = []
  for (let at = 0; at < 2; at++) {
    const server = createServer(secureServerOptions(bundle))
    attach(server, bundle)
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    servers.push(server)
  }
  const events: TlsEvent[] = []
  bundle.subscribe((event) => events.push(event))
  const second = servers[1] as Server
  const socket = connect({ port: (second.address() as AddressInfo).port, host: '127.0.0.1', rejectUnauthorized: false })
  socket.on('error', () => undefined)
  await new Promise((resolve) => socket.resume().once('close', resolve))
  await expect.poll(() => events.length).toBe(1)
  expect(events[0]).toMatchObject({ type: 'handshakeRefused' })
  expect(events[0]?.type === 'handshakeRefused' && events[0].server === second).toBe(true)
  for (const server of servers) server.close()
})
