import { authorizationServer, clientCredentials, clientSecretBasic, dpop } from '@portcullis/oauth2'
import type { RunOptions, Table } from '../table.ts'
import { compare, digits } from './measure.ts'
import { scene } from './scene.ts'

/** What a client pays for its credential, request by request. */
export async function run({ quick }: RunOptions): Promise<Table> {
  await using place = await scene()
  const { issuer, tls } = place
  const server = authorizationServer({ issuer, endpoints: { token: `${issuer}/token` }, tls: tls.client })
  const client = clientSecretBasic({ clientId: 'shop', clientSecret: 'secret' })
  const target = { origin: 'https://orders.example', secure: true }
  const make = () => clientCredentials({ server, client, targets: ['https://orders.example'] })
  const source = make()
  await source({ target })
  const bound = dpop(make())
  const binding = { method: 'GET', uri: 'https://orders.example/orders' }
  await bound({ target, binding })
  const warm = await compare({ hot: () => source({ target }) }, { rounds: quick ? 5 : 21, count: quick ? 20_000 : 200_000 })
  const proven = await compare({ proof: () => bound({ target, binding }) }, { rounds: quick ? 5 : 21, count: quick ? 500 : 5_000 })
  const cold = await compare({ cold: () => make()({ target }) }, { rounds: quick ? 5 : 21, count: quick ? 50 : 300 })
  const herd = await compare(
    {
      herd: () => {
        const one = make()
        return Promise.all(Array.from({ length: 100 }, async () => one({ target })))
      },
    },
    { rounds: quick ? 5 : 21, count: quick ? 20 : 100 },
  )
  return {
    title: 'Token source',
    note: 'One request for the token of a cold source, whoever waits for it; from then on it is at hand in the same tick.',
    columns: ['credential', 'µs'],
    rows: [
      ['at hand', digits(warm.get('hot') ?? 0)],
      ['at hand, with a DPoP proof for the request', digits(proven.get('proof') ?? 0)],
      ['fetched, one caller', digits(cold.get('cold') ?? 0)],
      ['fetched, a hundred callers at once', digits(herd.get('herd') ?? 0)],
    ],
  }
}
