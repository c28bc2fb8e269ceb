/**
 * The e-commerce system, all in one process: what customers and others try, and what each guard on the way decided. The
 * table is made from the audit events of the services; the program ends with 1 if a decision is not the expected one.
 *
 *     npm run demo               prints the table
 *     npm run demo -- --serve    keeps the system up, and says what to try with curl
 */
import { setTimeout as wait } from 'node:timers/promises'
import { status } from '@grpc/grpc-js'
import { isSecurityError, type AuditEvent, type CredentialSource } from '@portcullis/core'
import { client } from '@portcullis/http'
import { tlsBundle } from '@portcullis/tls'
import { writeCertificate } from '@portcullis/tls/development'
import { stay } from '../serving.ts'
import { startShop, type Shop } from './services.ts'
import { printHops, type Attempt } from './table.ts'

const events: AuditEvent[] = []
const shop: Shop = await startShop(events)
const attempts: Attempt[] = []

/** Does one thing, and keeps what the guards said to it. */
async function attempt(what: string, expected: readonly string[], act: () => Promise<unknown>): Promise<void> {
  events.length = 0
  const outcome = await act().catch((error: unknown) =>
    isSecurityError(error) ? error.code : (status[(error as { code?: number }).code ?? -1] ?? String(error)),
  )
  await wait(20)
  attempts.push({
    what,
    expected,
    events: events.filter((event) => event.type === 'decision' || event.type === 'handshakeRefused'),
    outcome: String(outcome),
  })
}

const call = async (path: string, credentials?: CredentialSource, tls = shop.tls.client): Promise<string> => {
  using fetching = await client({ tls, ...(credentials && { credentials }) })
  const query = path === '/inventory' && {
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ query: '{ inventory }' }),
  }
  const answer = await fetching(path.startsWith('https') ? path : `${shop.gateway}${path}`, { method: 'POST', ...query })
  const text = await answer.text()
  return `${answer.status} ${answer.ok ? text : (JSON.parse(text) as { detail: string }).detail}`
}
const customer = shop.tokenOf('customer')

// The gateway is asked twice: for the request, and for the field, which has a rule of its own.
await attempt('a customer asks for the inventory (GraphQL)', ['gateway allow', 'gateway allow', 'inventory-service allow'], () =>
  call('/inventory', customer),
)
await attempt('a customer orders (REST)', ['gateway allow', 'order-service allow', 'payment-service allow', 'delivery-service allow'], () =>
  call('/orders', customer),
)
await attempt('an order without a token', ['gateway challenge'], () => call('/orders'))
await attempt('an order by the auditor, who lacks the scope', ['gateway forbid'], () => call('/orders', shop.tokenOf('auditor')))
// A client that is told that its token is no good gets another and tries once more.
await attempt(
  'an order with a token for somebody else (the client tries once more with another)',
  ['gateway challenge', 'gateway challenge'],
  () => call('/orders', shop.tokenOf('neighbour')),
)
await attempt('an order past the gateway, without a certificate', ['order-service challenge'], () => call(shop.orderService))
await attempt('an order past the gateway, with a certificate of another name', ['order-service challenge'], async () =>
  call(shop.orderService, undefined, await shop.tls.clientFor('mallory')),
)
// It says "gateway", too, but no authority that the order service knows has certified that.
const day = 86_400_000
const selfMade = await writeCertificate({
  commonName: 'gateway',
  notBefore: new Date(Date.now() - day),
  notAfter: new Date(Date.now() + day),
  usages: ['clientAuth'],
})
const stranger = await tlsBundle({
  side: 'client',
  trust: { pem: shop.tls.authority },
  identity: { key: selfMade.key, certificates: selfMade.certificate },
})
await attempt('an order past the gateway, with a foreign certificate', ['order-service handshakeRefused'], () =>
  call(shop.orderService, undefined, stranger),
)
stranger.close()
const payForDelivery = await shop.payWith('delivery-service')
await attempt(
  'a payment with a token for delivery (gRPC; tried once more, too)',
  ['payment-service challenge', 'payment-service challenge'],
  () => payForDelivery('HQCKJ5496'),
)

const { credential } = await shop.tokenOf('customer')({ target: { origin: shop.gateway, secure: true } })
await wait(2_500)
await attempt('an order with a token that has expired', ['gateway challenge'], () => call('/orders', () => ({ credential })))

console.log('What was tried, what came back, and what each guard on the way decided; "ok" where that is what it should decide.\n')
const wrong = printHops(attempts)
await stay(shop.tls.authority, (ca) => [
  `TOKEN=$(curl -s --cacert ${ca} -u customer:a-secret-of-an-application -d grant_type=client_credentials ${shop.sts.tokenEndpoint} | sed 's/.*"access_token":"\\([^"]*\\)".*/\\1/')   # lasts two seconds: paste all the lines at once`,
  `curl -i --cacert ${ca} -X POST -H "Authorization: Bearer $TOKEN" ${shop.gateway}/orders`,
  `curl -i --cacert ${ca} -H "Authorization: Bearer $TOKEN" -H 'Content-Type: application/json' -d '{"query":"{ inventory }"}' ${shop.gateway}/inventory`,
  `curl -i --cacert ${ca} -X POST ${shop.gateway}/orders   # 401, with the challenge`,
])
await shop.close()
process.exitCode = wrong === 0 ? 0 : 1
