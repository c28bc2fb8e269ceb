import { guard, scope, type Guard } from '@portcullis/core'
import { authorizationServer, clientSecretBasic, introspection, type IntrospectionOptions } from '@portcullis/oauth2'
import * as oauth from 'oauth4webapi'
import type { RunOptions, Table } from '../table.ts'
import { compare, digits } from './measure.ts'
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
  const known = await compare(
    { credential: () => cached.decide(repeated), token: () => cached.decide(requestFor('repeated')) },
    { rounds: quick ? 5 : 21, count: quick ? 5_000 : 50_000 },
  )
  const asked = await compare(
    { guard: (at) => uncached.decide(requestFor(`token ${at}`)), library: bare(place) },
    { rounds: quick ? 5 : 21, count: quick ? 400 : 500 },
  )
  const row = (what: string, time = 0): (string | number)[] => [what, digits(time), Math.round(1_000_000 / time)]
  return {
    title: 'Introspection',
    note: 'A whole decision of the guard, one at a time, against an https server in the same process that answers at once; the library stands for the exchange alone.',
    columns: ['decision', 'µs', 'per second'],
    rows: [
      row('known credential of a connection', known.get('credential')),
      row('known token', known.get('token')),
      row('asked each time', asked.get('guard')),
      row('oauth4webapi alone, over our transport', asked.get('library')),
    ],
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
