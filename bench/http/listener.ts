import { createSecureServer } from 'node:http2'
import { createServer, type Server } from 'node:https'
import type { AddressInfo, Server as NetServer } from 'node:net'

import { everyone, guard, json, scope, serve, service, type Guard, type Listener, type Principal } from '@portcullis/http'
import { jwt } from '@portcullis/jwt'
import { secureServerOptions } from '@portcullis/tls'

import type { RunOptions, Table } from '../table.ts'
import { columns, measure, rowsOf, type Contender } from './measure.ts'
import { answerFields, body, makeScene, type Scene } from './scene.ts'

type Plain = { writeHead(status: number, fields: string[]): unknown; end(text: string): unknown }
const answer = (response: Plain): void => {
  response.writeHead(200, answerFields as string[])
  response.end(body)
}

// A connection waits for its turn longer than a server would let it.
const patience = { idleMs: 3_600_000 }

async function bare(name: string, version: Contender['version'], server: NetServer): Promise<Contender> {
  Object.assign(server, { keepAliveTimeout: patience.idleMs })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    name,
    version,
    port: (server.address() as AddressInfo).port,
    close: async () => {
      server.close()
      // Servers of `node:http2` have it not; the process ends all the same.
      ;(server as Partial<Server>).closeAllConnections?.()
    },
  }
}

function ours(name: string, version: Contender['version'], listener: Listener): Contender {
  return { name, version, port: listener.port, close: () => listener.close({ graceMs: 0 }) }
}

function guarding({ publicKey, issuer, audience }: Scene, audited: boolean): Guard<Principal> {
  let seen = 0
  const audit = { audit: () => void seen++ }
  return guard({
    authenticate: jwt({ issuer, audience, keys: { publicKey, keyId: 'k1', algorithms: ['RS256'] } }),
    authorize: scope('orders:read'),
    ...(audited && audit),
  }) as Guard<Principal>
}

/** The listener of `@portcullis/http` beside Node's own servers that answer the same without asking who comes. */
export async function run({ quick }: RunOptions): Promise<Table> {
  const scene = await makeScene()
  const { tls } = scene
  const secure = secureServerOptions(tls)
  const both = secureServerOptions(tls, { alpn: ['h2', 'http/1.1'] })
  const stream = createSecureServer(both)
  stream.on('stream', (one) => {
    one.respond({
      ':status': 200,
      'content-type': 'application/json',
      'cache-control': 'no-store',
      'x-content-type-options': 'nosniff',
      'content-length': String(body.length),
    })
    one.end(body)
  })
  const complete = () => {
    const own = guarding(scene, true)
    return serve({
      tls,
      guard: own,
      port: 0,
      timeouts: patience,
      services: [
        service({
          path: '/orders',
          guard: own,
          resources: [
            {
              method: 'GET',
              path: '/:id',
              handler: (_request, _principal, { parameters }) => json({ id: parameters['id'], state: 'shipped' }),
            },
          ],
        }),
      ],
    })
  }
  const guarded = () =>
    serve(
      { tls, guard: guarding(scene, false), port: 0, timeouts: patience },
      { requestListener: (_request, response) => answer(response) },
    )
  const open = () =>
    serve(
      { tls, guard: guard({ authenticate: everyone() }), port: 0, timeouts: patience },
      { requestListener: (_request, response) => answer(response) },
    )
  const responding = () =>
    serve(
      { tls, guard: guarding(scene, true), port: 0, timeouts: patience },
      () => new Response(body, { headers: { 'content-type': 'application/json' } }),
    )
  const contenders = await Promise.all([
    bare(
      'node:https',
      'http/1.1',
      createServer(secure, (_request, response) => answer(response)),
    ),
    bare(
      'node:https, once more',
      'http/1.1',
      createServer(secure, (_request, response) => answer(response)),
    ),
    bare(
      'node:http2 with allowHTTP1',
      'http/1.1',
      createSecureServer({ ...both, allowHTTP1: true }, (_request, response) => answer(response)),
    ),
    open().then((listener) => ours('serve, everyone()', 'http/1.1', listener)),
    guarded().then((listener) => ours('serve, JWT and scope', 'http/1.1', listener)),
    complete().then((listener) => ours('serve, complete', 'http/1.1', listener)),
    responding().then((listener) => ours('serve, complete, native Response', 'http/1.1', listener)),
    bare('node:http2, stream event', 'h2', stream),
    bare(
      'node:http2, request event',
      'h2',
      createSecureServer(both, (_request, response) => answer(response)),
    ),
    complete().then((listener) => ours('serve, complete, HTTP/2', 'h2', listener)),
    guarded().then((listener) => ours('serve, JWT and scope, HTTP/2, Node handler', 'h2', listener)),
  ])
  const costs = await measure(contenders, scene.requests, quick ? 12 : 200)
  return {
    title: 'HTTPS listener',
    note: 'Keep-alive over TLS 1.3 on loopback, 16 connections, RS256 tokens verified before. "Complete" is a route with a parameter, limits, JWT, a scope, an audit subscriber and the default fields, with a plain reply. The second row is the noise.',
    columns,
    rows: rowsOf(costs, [
      { name: 'node:https', base: 'node:https' },
      { name: 'node:https, once more', base: 'node:https' },
      { name: 'node:http2 with allowHTTP1', base: 'node:https' },
      { name: 'serve, everyone()', base: 'node:https', goal: 0.97 },
      { name: 'serve, JWT and scope', base: 'node:https', goal: 0.95 },
      { name: 'serve, complete', base: 'node:https', goal: 0.92 },
      { name: 'serve, complete, native Response', base: 'node:https' },
      { name: 'node:http2, stream event', base: 'node:http2, stream event' },
      { name: 'node:http2, request event', base: 'node:http2, stream event' },
      { name: 'serve, complete, HTTP/2', base: 'node:http2, stream event', goal: 0.95 },
      { name: 'serve, JWT and scope, HTTP/2, Node handler', base: 'node:http2, request event', goal: 0.95 },
    ]),
  }
}
