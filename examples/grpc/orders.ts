import { join } from 'node:path'
import {
  makeClientConstructor,
  status,
  type Client,
  type ClientReadableStream,
  type ClientUnaryCall,
  type MethodDefinition,
  type ServerUnaryCall,
  type ServerWritableStream,
  type ServiceError,
} from '@grpc/grpc-js'
import { loadSync } from '@grpc/proto-loader'
import type { CredentialSource } from '@portcullis/core'
import { client, type Anonymous, type ClientConstructor, type Principal } from '@portcullis/grpc'
import type { ClientTlsBundle } from '@portcullis/tls'

interface OrderId {
  readonly id: string
}
interface Order {
  readonly text: string
}

// What code generators write out of orders.proto; the loader makes the same at run time, without types.
type Definition = {
  readonly Get: MethodDefinition<OrderId, Order> & { readonly requestStream: false; readonly responseStream: false }
  readonly Follow: MethodDefinition<OrderId, Order> & { readonly requestStream: false; readonly responseStream: true }
}
export const definition = loadSync(join(import.meta.dirname, 'orders.proto'))['shop.v1.Orders'] as unknown as Definition

export interface Orders extends Client {
  get(request: OrderId, callback: (error: ServiceError | null, order?: Order) => void): ClientUnaryCall
  follow(request: OrderId): ClientReadableStream<Order>
}
export const Orders = makeClientConstructor(definition, 'Orders') as unknown as ClientConstructor<Orders>

/** What the services of these examples do; they differ in whom they do it for. */
export const handlers = {
  Get: ({ request }: ServerUnaryCall<OrderId, Order>, principal: Principal | Anonymous): Order => state(request, principal),
  Follow: (stream: ServerWritableStream<OrderId, Order>, principal: Principal | Anonymous): void =>
    void stream.write(state(stream.request, principal)),
}

function state({ id }: OrderId, principal: Principal | Anonymous): Order {
  return { text: `order ${id} is shipped${principal.kind === 'principal' ? `, ${principal.subject}` : ''}` }
}

/** Asks for order 7, and gives the answer; or the name of the status, if it is none. */
export function get(orders: Orders): Promise<string> {
  return new Promise((resolve) => {
    orders.get({ id: '7' }, (error, order) => resolve(order?.text ?? status[error?.code ?? status.UNKNOWN]))
  })
}

/** The same by a client that is made for it. */
export async function ask(port: number, tls: ClientTlsBundle, source?: CredentialSource): Promise<string> {
  const orders = await client(Orders, { host: 'localhost', port, tls, ...(source && { source }) })
  try {
    return await get(orders)
  } finally {
    orders.close()
  }
}
