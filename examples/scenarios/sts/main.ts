/**
 * A token service with one client, one user and one partner whose assertions it takes; and everything that can be asked
 * of it: four grants, a refresh, an exchange, introspection, revocation, the keys, and each refusal.
 */
import { generateKeyPairSync } from 'node:crypto'
import { memoryUserStore } from '@portcullis/auth'
import { secret } from '@portcullis/core'
import { hashPassword } from '@portcullis/crypto'
import { client } from '@portcullis/http'
import { developmentTls } from '@portcullis/http/development'
import { createIssuer } from '@portcullis/jwt'
import { createSts } from '@portcullis/sts'
import { show } from '../../show.ts'

const tls = await developmentTls()
const partner = generateKeyPairSync('ec', { namedCurve: 'P-256' })
const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' })
const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 })
const nextRsa = generateKeyPairSync('rsa', { modulusLength: 2048 })

await using sts = await createSts({
  tls,
  // One key signs each algorithm; the third is published ahead of the day on which it will.
  keys: [{ privateKey: ec.privateKey }, { privateKey: rsa.privateKey }, { privateKey: nextRsa.privateKey }],
  audiences: {
    // Tokens that live for two seconds, and that only this service can judge.
    zoo: { scopes: ['read', 'write', 'dolphin'], format: 'opaque', lifetimeSeconds: 2 },
    aquarium: { scopes: ['read'] },
  },
  clients: [
    {
      id: 'keeper',
      secret: secret('a-long-secret-of-the-keeper'),
      grants: ['client_credentials', 'password', 'refresh_token', 'jwt_bearer', 'token_exchange'],
      audiences: ['zoo', 'aquarium'],
      scopes: ['read', 'write', 'dolphin'],
    },
    // The service that the tokens are for: it asks what they are worth, and gets none itself.
    { id: 'admin', secret: secret('a-long-secret-of-the-zoo'), serves: ['zoo'] },
    {
      id: 'visitor',
      secret: secret('a-long-secret-of-a-visitor'),
      grants: ['client_credentials'],
      audiences: ['aquarium'],
      scopes: ['read'],
    },
  ],
  passwordGrant: {
    users: memoryUserStore({
      name: 'people',
      users: [{ username: 'johndoe', password: await hashPassword('A3ddj3w'), scopes: ['read', 'write', 'dolphin'] }],
    }),
  },
  assertions: [
    {
      issuer: 'https://partner.example',
      keys: { publicKey: partner.publicKey },
      accept: ({ sub }) => ({ subject: `partner:${String(sub)}`, scopes: ['read'] }),
    },
  ],
  exchange: {
    mayAct: ({ client: asking, subject, audience }) => asking === 'keeper' && subject.client === 'keeper' && audience === 'aquarium',
  },
  claims: () => ({ extension_field: 'twenty-seven' }),
})

// Whoever talks to it: plain HTTP requests, as any client sends them.
const call = await client({ tls: tls.client })
const basic = (id: string, password: string): Record<string, string> => ({
  authorization: `Basic ${Buffer.from(`${id}:${password}`).toString('base64')}`,
})
const keeper = basic('keeper', 'a-long-secret-of-the-keeper')
const zoo = basic('admin', 'a-long-secret-of-the-zoo')

async function ask(
  url: string,
  form: Record<string, string>,
  headers: Record<string, string> = keeper,
): Promise<{ status: number; body: Record<string, unknown> }> {
  const content = { 'content-type': 'application/x-www-form-urlencoded' }
  const answer = await call(url, { method: 'POST', headers: { ...content, ...headers }, body: new URLSearchParams(form).toString() })
  const text = await answer.text()
  return { status: answer.status, body: text === '' ? {} : (JSON.parse(text) as Record<string, unknown>) }
}
const token = (form: Record<string, string>, headers?: Record<string, string>) =>
  ask(sts.tokenEndpoint, { audience: 'zoo', ...form }, headers)
const outcome = async (answer: ReturnType<typeof ask>): Promise<string> => {
  const { status, body } = await answer
  return typeof body['error'] === 'string' ? `${status} ${body['error']}` : String(status)
}
const jwtBearer = 'urn:ietf:params:oauth:grant-type:jwt-bearer'
const exchange = 'urn:ietf:params:oauth:grant-type:token-exchange'
const login = { grant_type: 'password', username: 'johndoe', password: 'A3ddj3w' }
const assertion = await createIssuer({ issuer: 'https://partner.example', key: { privateKey: partner.privateKey } }).issue({
  subject: 'ann',
  audience: sts.tokenEndpoint,
})

// Each grant, and the client's secret in the header and in the body.
show('client credentials, secret in the header', await outcome(token({ grant_type: 'client_credentials' })), '200')
const inBody = { client_id: 'keeper', client_secret: 'a-long-secret-of-the-keeper' }
show('client credentials, secret in the body', await outcome(token({ grant_type: 'client_credentials', ...inBody }, {})), '200')
show('password', await outcome(token(login)), '200')
show('an assertion of the partner', await outcome(token({ grant_type: jwtBearer, assertion })), '200')

const first = await token({ ...login, scope: 'read write dolphin' })
const access = String(first.body['access_token'])
const told = (await ask(sts.introspectionEndpoint, { token: access }, zoo)).body
show(
  'introspection',
  [told['active'], told['sub'], told['scope'], told['extension_field']],
  [true, 'johndoe', 'read write dolphin', 'twenty-seven'],
)
const second = await token({ grant_type: 'refresh_token', refresh_token: String(first.body['refresh_token']) })
show('refresh token', second.status, 200)
const swapped = { grant_type: exchange, subject_token: access, subject_token_type: 'urn:ietf:params:oauth:token-type:access_token' }
show('exchange for another audience', await outcome(ask(sts.tokenEndpoint, { ...swapped, audience: 'aquarium', scope: 'read' })), '200')
const keys = ((await (await call(sts.jwksUri)).json()) as { readonly keys: readonly { readonly kty: string }[] }).keys
show(
  'the keys',
  keys.map(({ kty }) => kty),
  ['EC', 'RSA', 'RSA'],
)

// Each refusal.
show('a wrong client secret', await outcome(token(login, basic('keeper', 'a-wrong-secret-of-them'))), '401 invalid_client')
show('an unknown client', await outcome(token(login, basic('nobody', 'a-wrong-secret-of-them'))), '401 invalid_client')
const visitor = basic('visitor', 'a-long-secret-of-a-visitor')
show('a grant that is not this client’s', await outcome(token({ ...login, audience: 'aquarium' }, visitor)), '400 unauthorized_client')
show('a grant that nobody knows', await outcome(token({ grant_type: 'magic' })), '400 unsupported_grant_type')
show('no grant', await outcome(token({})), '400 invalid_request')
show('a wrong password', await outcome(token({ ...login, password: 'guess' })), '400 invalid_grant')
show('a password missing', await outcome(token({ grant_type: 'password', username: 'johndoe' })), '400 invalid_request')
show(
  'an assertion that was changed',
  await outcome(token({ grant_type: jwtBearer, assertion: `${assertion.slice(0, -4)}AAAA` })),
  '400 invalid_grant',
)
show('a made-up refresh token', await outcome(token({ grant_type: 'refresh_token', refresh_token: 'x' })), '400 invalid_grant')
const reused = { grant_type: 'refresh_token', refresh_token: String(first.body['refresh_token']) }
show('a refresh token that was used', await outcome(token(reused)), '400 invalid_grant')
const ended = (await ask(sts.introspectionEndpoint, { token: String(second.body['access_token']) }, zoo)).body
show('… which ends the whole login', ended, { active: false })
show('introspection by a stranger', await outcome(ask(sts.introspectionEndpoint, { token: access }, {})), '400 invalid_request')

// A revocation counts at once, an expiry to the second.
const third = String((await token({ grant_type: 'client_credentials' })).body['access_token'])
await ask(sts.revocationEndpoint, { token: third })
show('a token that was revoked', (await ask(sts.introspectionEndpoint, { token: third }, zoo)).body, { active: false })
const fourth = String((await token({ grant_type: 'client_credentials' })).body['access_token'])
show('a fresh token', (await ask(sts.introspectionEndpoint, { token: fourth }, zoo)).body['active'], true)
await new Promise((resolve) => setTimeout(resolve, 2_100))
show('the same two seconds later', (await ask(sts.introspectionEndpoint, { token: fourth }, zoo)).body, { active: false })
call.close()
