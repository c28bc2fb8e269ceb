import { authorizationServer, clientCredentials, clientSecretBasic, dpop } from '@portcullis/oauth2'
import { measure, oneByOne, withSpread } from '../measure.ts'
import type { RunOptions, Table } from '../table.ts'
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
  const measured = await measure(
    [
      oneByOne('at hand', () => source({ target })),
      oneByOne('at hand, with a DPoP proof for the request', () => bound({ target, binding })),
      oneByOne('fetched, one caller', () => make()({ target })),
      oneByOne('fetched, a hundred callers at once', () => {
        const one = make()
        return Promise.all(Array.from({ length: 100 }, async () => one({ target })))
      }),
    ],
    { time: 'wall', rounds: quick ? 5 : 21, roundMs: quick ? 50 : 200 },
  )
  return {
    title: 'Token source',
    note: 'One request for the token of a cold source, whoever waits for it; from then on it is at hand in the same tick. Median of interleaved rounds (± half the distance of the quartiles).',
    columns: ['credential', 'time'],
    rows: [...measured.values()].map((one) => [one.name, withSpread(one)]),
  }
}
