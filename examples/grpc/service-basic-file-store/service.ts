import { serve, service } from '@portcullis/grpc'
import { developmentTls } from '@portcullis/grpc/development'
import { usersOfFile } from '../../mechanisms/basic-file-store.ts'
import { definition, handlers } from '../orders.ts'

/** A gRPC service for the users of a file. */
export async function start() {
  const tls = await developmentTls()
  const { staff, store, write } = await usersOfFile()
  const listener = await serve({ tls, guard: staff, services: [service({ definition, guard: staff, handlers })] })
  return { tls, listener, port: listener.port, origin: listener.origin, store, write }
}
