/**
 * A bank for the users of a file, of whom each has other rights. What its resources demand stands beside them
 * (declarative); a second service asks for the same in its handlers (imperative), and for what only a handler can know:
 * whose account it is.
 */
import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { basic, basicCredentials, fileUserStore } from '@portcullis/auth'
import { hashPassword } from '@portcullis/crypto'
import { allOf, client, forbid, granted, guard, json, resource, scope, serve, type Answer, type Principal } from '@portcullis/http'
import { developmentTls } from '@portcullis/http/development'
import { show } from '../../show.ts'

const file = join(mkdtempSync(join(tmpdir(), 'portcullis-')), 'users.toml')
writeFileSync(
  file,
  `[[users]]
   username = "alice"
   password = "${await hashPassword('alice@123')}"
   scopes = ["read-account", "read-balance", "funds-transfer"]

   [[users]]
   username = "bob"
   password = "${await hashPassword('bob@123')}"
   scopes = ["read-account", "read-balance"]

   [[users]]
   username = "david"
   password = "${await hashPassword('david@123')}"
   scopes = ["read-account"]
`,
)
const store = fileUserStore({ name: 'bank', file })
const accounts = new Map([
  ['1', { owner: 'alice', balance: 250 }],
  ['2', { owner: 'bob', balance: 40 }],
])
const account = (id = '') => accounts.get(id)

// The policy of the listener, and of single actions.
const bank = guard({ name: 'bank', authenticate: basic({ store, realm: 'bank' }), authorize: scope('read-account') })
const balances = bank.with({ authorize: scope('read-balance') })
const ownTransfers = bank.with({
  authorize: allOf(scope('funds-transfer'), (principal, { attributes }) =>
    principal.subject === attributes['owner'] ? granted : forbid('not the owner'),
  ),
})

/** Asks a guard about one who is proven, and answers only if it allows. */
async function ask(level: typeof bank, principal: Principal, attributes: Readonly<Record<string, string>>, answer: () => Answer) {
  const { outcome } = await level.authorize(principal, { action: 'use', resource: '/by-hand', attributes })
  if (outcome === 'allow') return answer()
  return json({ title: outcome }, { status: outcome === 'forbid' ? 403 : 503 })
}

const tls = await developmentTls()
await using server = await serve({
  tls,
  port: 0,
  guard: bank,
  services: [
    {
      path: '/accounts/:id',
      guard: bank,
      resources: [
        { method: 'GET', path: '/', handler: (_request, _principal, { parameters }) => json({ owner: account(parameters['id'])?.owner }) },
        {
          method: 'GET',
          path: '/balance',
          authorize: scope('read-balance'),
          handler: (_request, _principal, { parameters }) => json({ balance: account(parameters['id'])?.balance }),
        },
        { method: 'POST', path: '/transfers', authorize: scope('funds-transfer'), handler: () => json({}, { status: 201 }) },
      ],
    },
    {
      path: '/by-hand/:id',
      guard: bank,
      resources: [
        { method: 'GET', path: '/', handler: (_request, _principal, { parameters }) => json({ owner: account(parameters['id'])?.owner }) },
        resource({
          method: 'GET',
          path: '/balance',
          guard: bank,
          handler: (_request, principal, { parameters }) =>
            ask(balances, principal, {}, () => json({ balance: account(parameters['id'])?.balance })),
        }),
        resource({
          method: 'POST',
          path: '/transfers',
          guard: bank,
          handler: (_request, principal, { parameters }) =>
            ask(ownTransfers, principal, { owner: account(parameters['id'])?.owner ?? '' }, () => json({}, { status: 201 })),
        }),
      ],
    },
  ],
})

/** What one may do at one of the services: the account, its balance, a transfer from it. */
async function attempts(path: string, username?: string, password = `${username}@123`): Promise<readonly number[]> {
  const credentials = username === undefined ? {} : { credentials: basicCredentials({ username, password, targets: [server.origin] }) }
  const statuses: number[] = []
  for (const [method, action] of [
    ['GET', ''],
    ['GET', '/balance'],
    ['POST', '/transfers'],
  ] as const) {
    // A client of its own for each: one that was refused does not send the same password again.
    using call = await client({ tls: tls.client, ...credentials })
    statuses.push((await call(`${server.origin}${path}${action}`, { method })).status)
  }
  return statuses
}
for (const [way, path] of [
  ['declarative', '/accounts/1'],
  ['by hand', '/by-hand/1'],
] as const) {
  show(`${way}: alice`, await attempts(path, 'alice'), [200, 200, 201])
  show(`${way}: bob`, await attempts(path, 'bob'), [200, 200, 403])
  show(`${way}: david`, await attempts(path, 'david'), [200, 403, 403])
  show(`${way}: alice with the password of bob`, await attempts(path, 'alice', 'bob@123'), [401, 401, 401])
  show(`${way}: eve, whom the file does not know`, await attempts(path, 'eve'), [401, 401, 401])
  show(`${way}: nobody`, await attempts(path), [401, 401, 401])
}
show('by hand: alice, and the account of bob', await attempts('/by-hand/2', 'alice'), [200, 200, 403])
store.close()
