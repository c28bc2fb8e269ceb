import { everyone, guard, serve, service } from '@portcullis/grpc'
import { developmentTls } from '@portcullis/grpc/development'
import { definition, handlers } from '../orders.ts'

/** A gRPC service over TLS that is open to everyone. */
export async function start() {
  const tls = await developmentTls()
  const open = guard({ authenticate: everyone() })
  const listener = await serve({ tls, guard: open, services: [service({ definition, guard: open, handlers })] })
  return { tls, listener, port: listener.port }
}
