import { guard, type AccessRequest } from '@portcullis/core'
import {
  attach,
  clientCertificate,
  peerCertificateOf,
  secureClientOptions,
  secureServerOptions,
  type ClientTlsBundle,
  type ServerTlsBundle,
} from '@portcullis/tls'
import { developmentIssuer, developmentTls } from '@portcullis/tls/development'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { connect, createServer, type ConnectionOptions, type Server, type TLSSocket } from 'node:tls'
import { inline, measure, oneByOne, ratio, withSpread, type MeasureOptions, type Variant } from '../measure.ts'
import type { RunOptions, Table } from '../table.ts'

type Session = ConnectionOptions['session']

/** What a bundle adds to a handshake, and what a client certificate costs for each request after it. */
export async function run({ quick }: RunOptions): Promise<Table> {
  const plain = await developmentTls()
  const mutual = await developmentTls({ clientCertificates: 'require' })
  const alice = await mutual.clientFor('alice')
  const options = quick ? { rounds: 3, roundMs: 50 } : { rounds: 30, roundMs: 200 }
  const servers: Server[] = []
  const handshakes = async (
    name: string,
    bundle: ServerTlsBundle,
    client: ClientTlsBundle,
    attached: boolean,
    resumed: boolean,
  ): Promise<Variant> => {
    const server = await listening(bundle, attached)
    servers.push(server)
    return oneByOne(name, await visitor(server, client, resumed))
  }
  const variants = [
    await handshakes('bare', plain.server, plain.client, false, false),
    await handshakes('bundle', plain.server, plain.client, true, false),
    await handshakes('bare, mutual', mutual.server, alice, false, false),
    await handshakes('bundle, mutual', mutual.server, alice, true, false),
    await handshakes('bare, mutual, resumed', mutual.server, alice, false, true),
    await handshakes('bundle, mutual, resumed', mutual.server, alice, true, true),
  ]
  const measured = await measure(variants, options)
  const perRequest = await requests(mutual.server, alice, options)
  for (const server of servers) server.close()
  const row = (name: string, bare?: string) => [
    name,
    withSpread(measured.get(name)),
    bare === undefined ? '–' : ratio(measured, name, bare),
  ]
  return {
    title: 'TLS: handshakes',
    note: 'Processor time of both ends together, P-256, TLS 1.3; median of interleaved rounds (± half the distance of the quartiles). "Bare" is node:tls with the same options, and believes `authorized`; the bundle finds the anchor, checks usages and dates, and remembers the verdict. The last rows are per request on an open connection.',
    columns: ['', 'processor time', 'of bare'],
    rows: [
      row('bare'),
      row('bundle', 'bare'),
      row('bare, mutual'),
      row('bundle, mutual', 'bare, mutual'),
      row('bare, mutual, resumed'),
      row('bundle, mutual, resumed', 'bare, mutual, resumed'),
      ...[...perRequest.values()].map((one) => [one.name, withSpread(one), '–']),
    ],
  }
}

async function listening(bundle: ServerTlsBundle, attached: boolean): Promise<Server> {
  const server = createServer(secureServerOptions(bundle), (socket) => {
    socket.on('error', () => undefined)
    if (attached) peerCertificateOf(socket, bundle)
    socket.end('.')
  })
  if (attached) attach(server, bundle)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return server
}

async function visitor(server: Server, client: ClientTlsBundle, resumed: boolean): Promise<() => Promise<Session>> {
  const { port } = server.address() as AddressInfo
  const secure = { port, ...secureClientOptions(client, { host: 'localhost' }) }
  const visit = async (session?: Session): Promise<Session> => {
    let taken: Session
    const socket = connect({ ...secure, ...(session && { session }) })
    socket.on('session', (data) => (taken = data)).resume()
    await once(socket, 'close')
    return taken
  }
  const session = resumed ? await visit() : undefined
  return () => visit(session)
}

async function requests(bundle: ServerTlsBundle, client: ClientTlsBundle, options: MeasureOptions) {
  const server = createServer(secureServerOptions(bundle))
  attach(server, bundle)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const far = connect({ port, ...secureClientOptions(client, { host: 'localhost' }) })
  const [socket] = (await once(server, 'secureConnection')) as [TLSSocket]
  const service = guard({
    authenticate: clientCertificate({
      tls: bundle,
      issuers: { [developmentIssuer]: { by: 'commonName', principals: { alice: ['read'] } } },
    }),
  })
  const decide = (): unknown => {
    const certificate = peerCertificateOf(socket, bundle)
    const request: AccessRequest = {
      credentials: [],
      action: 'GET',
      resource: '/',
      attributes: {},
      channel: { from: 'peer', protocol: 'https', secure: true, ...(certificate && { certificate }) },
    }
    return service.decide(request)
  }
  const decision = await decide()
  if ((decision as { outcome?: string }).outcome !== 'allow') throw new Error('The certificate was not accepted.')
  const measured = await measure(
    [inline('peerCertificateOf', () => peerCertificateOf(socket, bundle)), inline('peerCertificateOf and the decision of a guard', decide)],
    options,
  )
  far.destroy()
  server.close()
  return measured
}
