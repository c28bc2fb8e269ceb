import { serve, service } from '@portcullis/grpc'
import { developmentTls } from '@portcullis/grpc/development'
import { signedTokens } from '../../mechanisms/jwt.ts'
import { definition, handlers } from '../orders.ts'

/** A gRPC service that verifies tokens by the key of their issuer. */
export async function start() {
  const tls = await developmentTls()
  const { orders, issuer, privateKey } = signedTokens()
  const listener = await serve({ tls, guard: orders, services: [service({ definition, guard: orders, handlers })] })
  return { tls, listener, port: listener.port, origin: listener.origin, issuer, privateKey }
}
