import { createSecureServer } from 'node:http2'
import { createServer } from 'node:https'

import { secureServerOptions } from '@portcullis/tls'

import type { RunOptions, Table } from '../table.ts'
import { columns, rowsOf } from '../windows.ts'
import { measure } from './measure.ts'
import { makeScene } from './scene.ts'
import { answer, bare, complete, guarded, open } from './servers.ts'

/** HTTP/1.1: the listener of `@portcullis/http` beside Node's own server that answers the same without asking who comes. */
export async function run({ quick }: RunOptions): Promise<Table> {
  const scene = await makeScene()
  const secure = secureServerOptions(scene.tls)
  const both = secureServerOptions(scene.tls, { alpn: ['h2', 'http/1.1'] })
  const contenders = [
    await bare(
      'node:https',
      'http/1.1',
      createServer(secure, (_request, response) => answer(response)),
    ),
    await bare(
      'node:https, once more',
      'http/1.1',
      createServer(secure, (_request, response) => answer(response)),
    ),
    await bare(
      'node:http2 with allowHTTP1',
      'http/1.1',
      createSecureServer({ ...both, allowHTTP1: true }, (_request, response) => answer(response)),
    ),
    await open('serve, everyone()', 'http/1.1', scene),
    await guarded('serve, JWT and scope', 'http/1.1', scene),
    await complete('serve, complete', 'http/1.1', scene),
  ]
  const costs = await measure(contenders, scene.requests, quick ? 12 : 200)
  return {
    title: 'HTTPS listener, HTTP/1.1',
    note: 'Keep-alive over TLS 1.3 on loopback, 16 connections, RS256 tokens verified before; every listener of ours offers HTTP/2 too. "Complete" is a route with a parameter, limits, JWT, a scope, an audit subscriber and the default fields, with a plain reply. The second row is the noise.',
    columns,
    rows: rowsOf(costs, [
      { name: 'node:https', base: 'node:https' },
      { name: 'node:https, once more', base: 'node:https' },
      { name: 'node:http2 with allowHTTP1', base: 'node:https', goal: 0.97 },
      { name: 'serve, everyone()', base: 'node:https' },
      { name: 'serve, JWT and scope', base: 'node:https', goal: 0.95 },
      { name: 'serve, complete', base: 'node:https', goal: 0.92 },
    ]),
  }
}
