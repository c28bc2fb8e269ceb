import { serve, service } from '@portcullis/grpc'
import { developmentTls } from '@portcullis/grpc/development'
import { certificatesOfTills } from '../../mechanisms/mutual-tls.ts'
import { definition, handlers } from '../orders.ts'

/** A gRPC service that knows its clients by their certificates. */
export async function start() {
  const tls = await developmentTls({ clientCertificates: 'require' })
  const tills = certificatesOfTills(tls)
  const listener = await serve({ tls, guard: tills, services: [service({ definition, guard: tills, handlers })] })
  return { tls, listener, port: listener.port, origin: listener.origin }
}
