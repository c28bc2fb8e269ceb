import { serve, service } from '@portcullis/grpc'
import { developmentTls } from '@portcullis/grpc/development'
import { tokensOfService } from '../../mechanisms/oauth2.ts'
import { definition, handlers } from '../orders.ts'

/** A gRPC service that asks the token service about each token. */
export async function start() {
  const tls = await developmentTls()
  const { orders, sts, ...tokens } = await tokensOfService(tls)
  const listener = await serve({ tls, guard: orders, services: [service({ definition, guard: orders, handlers })] })
  const close = async (): Promise<void> => {
    await listener.close()
    await sts.close()
  }
  return { ...tokens, tls, sts, port: listener.port, origin: listener.origin, close }
}
