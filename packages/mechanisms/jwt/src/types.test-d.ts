import { cached, guard, scope, secret, type Principal } from '@portcullis/core'
import { createIssuer, createVerifier, jwt, selfSignedJwt, type StandardSchema } from './index.ts'
import { anyAudience } from './danger.ts'

const keys = { jwksUri: 'https://issuer.example/jwks' }
const issuer = 'https://issuer.example'

jwt({ issuer, audience: 'orders', keys })
jwt({ issuers: [{ issuer, audience: anyAudience, keys }] })

// @ts-expect-error an audience is required
jwt({ issuer, keys })
// @ts-expect-error an issuer is required
jwt({ audience: 'orders', keys })
// @ts-expect-error keys are required
jwt({ issuer, audience: 'orders' })
// @ts-expect-error an empty list is nobody
jwt({ issuer, audience: [], keys })
// @ts-expect-error no issuers at all
jwt({ issuers: [] })
// @ts-expect-error a table has its options in its rows
jwt({ issuers: [{ issuer, audience: 'orders', keys }], audience: 'orders' })
// @ts-expect-error a misspelt option
jwt({ issuer, audiance: 'orders', keys })
// @ts-expect-error a weakening is a symbol
jwt({ issuer, audience: 'orders', keys, expiry: false })
// @ts-expect-error none is no algorithm
jwt({ issuer, audience: 'orders', keys, algorithms: ['none'] })
// @ts-expect-error a secret is wrapped
jwt({ issuer, audience: 'orders', keys: { secret: 'text' } })
// @ts-expect-error a public key or a secret, not both
createIssuer({ issuer, key: { secret: secret('x'), privateKey: { pem: '' } } })
// @ts-expect-error targets are required
selfSignedJwt({ issuer, subject: 'me', audience: 'orders', key: { secret: secret('x') } })

declare const schema: StandardSchema<{ readonly tenant: string }>
const verifier = createVerifier({ issuer, audience: 'orders', keys, schema })
const result = await verifier.verify('')
// @ts-expect-error a refusal has no claims: it must be told apart first
void result.claims
if (!('refused' in result)) void result.claims.tenant.length

// The claims reach the handler with their type.
const typed = guard({ authenticate: jwt({ issuer, audience: 'orders', keys, schema }), authorize: scope('orders:read') })
const decision = await typed.decide({
  credentials: [],
  action: '',
  resource: '',
  attributes: {},
  channel: { from: 'peer', protocol: 'https', secure: true },
})
if (decision.outcome === 'allow') {
  const principal: Principal<{ readonly tenant: string }> = decision.principal
  void principal.claims.tenant.length
}

void cached(selfSignedJwt({ issuer, subject: 'me', audience: 'orders', key: { secret: secret('x') }, targets: ['https://orders.example'] }))
