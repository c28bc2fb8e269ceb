import { createSecureServer } from 'node:http2'

import { secureServerOptions } from '@portcullis/tls'

import type { RunOptions, Table } from '../table.ts'
import { columns, rowsOf } from '../windows.ts'
import { measure } from './measure.ts'
import { body, makeScene } from './scene.ts'
import { answer, bare, complete, guarded, responding } from './servers.ts'

/** HTTP/2: the listener of `@portcullis/http` beside Node's own server, on its stream event and on its compatibility layer. */
export async function run({ quick }: RunOptions): Promise<Table> {
  const scene = await makeScene()
  const both = secureServerOptions(scene.tls, { alpn: ['h2', 'http/1.1'] })
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
  const contenders = [
    await bare('node:http2, stream event', 'h2', stream),
    await bare(
      'node:http2, request event',
      'h2',
      createSecureServer(both, (_request, response) => answer(response)),
    ),
    await complete('serve, complete', 'h2', scene),
    await guarded('serve, JWT and scope, Node handler', 'h2', scene),
    await responding('serve, complete, native Response', 'h2', scene),
  ]
  const costs = await measure(contenders, scene.requests, quick ? 12 : 200)
  return {
    title: 'HTTPS listener, HTTP/2',
    note: "16 connections with 16 streams each. A plain reply goes out on the stream itself; a handler for Node's objects pays for the compatibility layer, and a native Response for its streams.",
    columns,
    rows: rowsOf(costs, [
      { name: 'node:http2, stream event', base: 'node:http2, stream event' },
      { name: 'node:http2, request event', base: 'node:http2, stream event' },
      { name: 'serve, complete', base: 'node:http2, stream event', goal: 0.95 },
      { name: 'serve, JWT and scope, Node handler', base: 'node:http2, request event', goal: 0.95 },
      { name: 'serve, complete, native Response', base: 'node:http2, stream event' },
    ]),
  }
}
