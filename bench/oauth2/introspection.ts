import { guard, scope, type Guard } from '@portcullis/core'
import { authorizationServer, clientSecretBasic, introspection, type IntrospectionOptions } from '@portcullis/oauth2'
import * as oauth from 'oauth4webapi'
import { measure, oneByOne, perSecond, withSpread } from '../measure.ts'
import type { RunOptions, Table } from '../table.ts'
import { requestFor, scene, type Scene } from './scene.ts'

/** Introspection with and without its cache, beside the bare library over the same connections. */
export async function run({ quick }: RunOptions): Promise<Table> {
  await using place = await scene()
  const orders = (options: Partial<IntrospectionOptions> = {}): Guard =>
    guard({
      authenticate: introspection({
        server: server(place),
        client: clientSecretBasic({ clientId: 'orders', clientSecret: 'secret' }),
        audience: 'orders',
        ...options,
      }),
      authorize: scope('orders:read'),
    }) as Guard
  const [cached, uncached] = [orders(), orders({ cache: 'none' })]
  const repeated = requestFor('repeated')
  await cached.decide(repeated)
  let next = 0
  const ask = bare(place)
  const measured = await measure(
    [
      oneByOne('known credential of a connection', () => cached.decide(repeated)),
      oneByOne('known token', () => cached.decide(requestFor('repeated'))),
      oneByOne('asked each time', () => uncached.decide(requestFor(`token ${next++}`))),
      oneByOne('oauth4webapi alone, over our transport', () => ask(next++)),
    ],
    { time: 'wall', rounds: quick ? 5 : 21, roundMs: quick ? 100 : 200 },
  )
  return {
    title: 'Introspection',
    note: 'A whole decision of the guard, one at a time, against an https server in the same process that answers at once, median of interleaved rounds (± half the distance of the quartiles); the library stands for the exchange alone.',
    columns: ['decision', 'time', 'per second'],
    rows: [...measured.values()].map((one) => [one.name, withSpread(one), perSecond(one.median)]),
  }
}

function server({ issuer, tls }: Scene) {
  return authorizationServer({ issuer, endpoints: { introspection: `${issuer}/introspect` }, tls: tls.client })
}

function bare(place: Scene): (at: number) => Promise<unknown> {
  const { issuer } = place
  const metadata: oauth.AuthorizationServer = { issuer, introspection_endpoint: `${issuer}/introspect` }
  const client: oauth.Client = { client_id: 'orders' }
  const { transport } = server(place)
  const options = { [oauth.customFetch]: (url: string, request: Parameters<typeof transport>[1]) => transport(url, request) }
  return async (at) =>
    oauth.processIntrospectionResponse(
      metadata,
      client,
      await oauth.introspectionRequest(metadata, client, oauth.ClientSecretBasic('secret'), `token ${at}`, options),
    )
}
