/**
 * An e-commerce system of five services. Customers come to the gateway, over REST and GraphQL, with tokens that it asks
 * the token service about; the inventory and order services behind it know it by its certificate; payment and delivery
 * take gRPC calls of the order service, by tokens that it signs itself. Five guards, each in a few lines.
 */
import { generateKeyPairSync } from 'node:crypto'
import { Client } from '@grpc/grpc-js'
import { secret, type AuditEvent, type CredentialSource, type Guard, type Principal } from '@portcullis/core'
import { access, graphql } from '@portcullis/graphql'
import { client as grpcClient, serve as serveGrpc, service as grpcService, type GrpcListener } from '@portcullis/grpc'
import { client, guard, json, scope, serve } from '@portcullis/http'
import { developmentTls } from '@portcullis/http/development'
import { jwt, selfSignedJwt } from '@portcullis/jwt'
import { authorizationServer, clientCredentials, clientSecretBasic, introspection } from '@portcullis/oauth2'
import { createSts } from '@portcullis/sts'
import { clientCertificate } from '@portcullis/tls'
import { GraphQLList, GraphQLObjectType, GraphQLSchema, GraphQLString } from 'graphql'
import { callUnary, unary } from './unary.ts'

/** Everything that the demo looks at. */
export type Shop = Awaited<ReturnType<typeof startShop>>

/** Starts all services on loopback. `events` gets what their guards decided. */
export async function startShop(events: AuditEvent[]) {
  const audit = (event: AuditEvent): void => void events.push(event)
  const tls = await developmentTls({ clientCertificates: 'accept' })
  const closing: (() => unknown)[] = []

  // The token service, with its clients: a customer's app, an auditor, and the gateway, which asks about tokens.
  const app = { grants: ['client_credentials'], secret: secret('a-secret-of-an-application') } as const
  const sts = await createSts({
    tls,
    audiences: {
      gateway: { scopes: ['customer', 'audit'], format: 'opaque', lifetimeSeconds: 2 },
      elsewhere: { scopes: ['customer'], format: 'opaque' },
    },
    clients: [
      { ...app, id: 'customer', audiences: ['gateway'], scopes: ['customer'] },
      { ...app, id: 'auditor', audiences: ['gateway'], scopes: ['audit'] },
      { ...app, id: 'neighbour', audiences: ['elsewhere'], scopes: ['customer'] },
      { id: 'gateway', secret: secret('a-secret-of-the-gateway'), serves: ['gateway', 'elsewhere'] },
    ],
  })
  closing.push(() => sts.close())
  const server = authorizationServer({ issuer: sts.issuer, tls: tls.client })

  // Payment and delivery: gRPC, each for tokens that the order service signs for it and for nobody else.
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const job = unary<{ order: string }, { done: string }>('/shop.v1.Job/Do')
  const worker = async (name: string, does: string): Promise<GrpcListener> => {
    const admins = guard({
      name,
      audit,
      authenticate: jwt({ issuer: 'order-service', audience: name, keys: { publicKey }, scopeClaim: 'scp' }),
      authorize: scope('admin'),
    })
    const listener = await serveGrpc({
      tls,
      guard: admins,
      services: [
        grpcService({ definition: { do: job }, guard: admins, handlers: { do: (call) => ({ done: `${call.request.order} ${does}` }) } }),
      ],
    })
    closing.push(() => listener.close())
    return listener
  }
  const payment = await worker('payment-service', 'paid')
  const delivery = await worker('delivery-service', 'on its way')
  const signed = (audience: string, ...targets: [string, ...string[]]): CredentialSource =>
    selfSignedJwt({ issuer: 'order-service', subject: 'order-service', audience, claims: { scp: 'admin' }, key: { privateKey }, targets })
  const toWorker = async (listener: GrpcListener, audience: string) => {
    const calls = await grpcClient(Client, {
      host: 'localhost',
      port: listener.port,
      tls: tls.client,
      source: signed(audience, listener.origin),
    })
    closing.push(() => calls.close())
    return (order: string) => callUnary(calls, job, { order })
  }

  // Inventory and orders: HTTPS, for the gateway's certificate alone.
  const byGateway = (name: string): Guard<Principal> =>
    guard({
      name,
      audit,
      authenticate: clientCertificate({ tls: tls.server, issuers: { development: { by: 'commonName', principals: { gateway: [] } } } }),
    })
  const inventory = await serve({ tls, port: 0, guard: byGateway('inventory-service') }, () => json(['Apple', 'Pear']))
  closing.push(() => inventory.close())
  const pay = await toWorker(payment, 'payment-service')
  const deliver = await toWorker(delivery, 'delivery-service')
  const orders = await serve({ tls, port: 0, guard: byGateway('order-service') }, async () => {
    const order = 'HQCKJ5496'
    return json({ order, steps: [(await pay(order)).done, (await deliver(order)).done] }, { status: 201 })
  })
  closing.push(() => orders.close())

  // The gateway: one guard for REST and GraphQL.
  const customers = guard({
    name: 'gateway',
    audit,
    authenticate: introspection({
      server,
      client: clientSecretBasic({ clientId: 'gateway', clientSecret: 'a-secret-of-the-gateway' }),
      audience: 'gateway',
    }),
    authorize: scope('customer'),
  })
  const onwards = await client({ tls: await tls.clientFor('gateway') })
  closing.push(() => onwards.close())
  const goods = async (): Promise<unknown> => (await onwards(inventory.origin)).json()
  const schema = new GraphQLSchema({
    query: new GraphQLObjectType({
      name: 'Query',
      fields: { inventory: { type: new GraphQLList(GraphQLString), extensions: access({ scopes: [['customer']] }), resolve: goods } },
    }),
  })
  const inventoryByGraphql = graphql({ guard: customers, path: '/inventory', yoga: { schema }, sockets: false })
  const order = async () => json(await (await onwards(orders.origin, { method: 'POST' })).json(), { status: 201 })
  const gateway = await serve({
    tls,
    port: 0,
    guard: customers,
    services: [
      { path: '/orders', guard: customers, resources: [{ method: 'POST', path: '/', handler: order }] },
      inventoryByGraphql.service,
    ],
  })
  closing.push(() => gateway.close())

  return {
    tls,
    gateway: gateway.origin,
    orderService: orders.origin,
    /** A call of the payment service with a token that the order service signed for this audience. */
    payWith: (audience: string) => toWorker(payment, audience),
    tokenOf: (id: string): CredentialSource =>
      clientCredentials({
        server,
        client: clientSecretBasic({ clientId: id, clientSecret: 'a-secret-of-an-application' }),
        targets: [gateway.origin],
      }),
    sts,
    async close(): Promise<void> {
      for (const end of closing.toReversed()) await end()
    },
  }
}
