import { basicCredentials } from '@portcullis/auth'
import { client } from '@portcullis/http'
import { show } from '../../show.ts'
import { stay } from '../../serving.ts'
import { ask } from '../orders.ts'
import { start } from './service.ts'

const { tls, listener, url, origin, store, write } = await start()
const by = (username: string, password: string) => basicCredentials({ username, password, targets: [origin] })

show('nobody', await ask(url, tls.client), 'ERR_GRAPHQL_REFUSED')
show('alice', await ask(url, tls.client, by('alice', 'alice@123')), 'order 7 is shipped, alice')
show('alice with a wrong password', await ask(url, tls.client, by('alice', 'guess')), 'ERR_GRAPHQL_REFUSED')
show('bob, who may not read', await ask(url, tls.client, by('bob', 'bob@123')), 'ERR_GRAPHQL_FORBIDDEN')
await stay(tls.authority, (ca) => [`curl --cacert ${ca} --user alice:alice@123 --json '{"query":"{ order(id: 7) }"}' ${url}`])

// A subscription, as server-sent events.
using alice = await client({ tls: tls.client, credentials: by('alice', 'alice@123') })
const changes = await alice(url, {
  method: 'POST',
  headers: { 'content-type': 'application/json', accept: 'text/event-stream' },
  body: JSON.stringify({ query: 'subscription { order(id: 7) }' }),
})
show('a subscription of alice', changes.status, 200)
await write(['bob', 'bob@123', []])
await store.reload()
const events = await changes.text()
show('what it said at first', events.includes('order 7 is shipped, alice'), true)
show('how it ended, as she was removed', /"code":"(\w+)"/.exec(events)?.[1], 'UNAUTHENTICATED')
await listener.close()
store.close()
