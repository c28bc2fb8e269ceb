import { serve, service } from '@portcullis/grpc'
import { developmentTls } from '@portcullis/grpc/development'
import { startSlapd } from '@portcullis/test-servers'
import { usersOfDirectory } from '../../mechanisms/basic-ldap-store.ts'
import { definition, handlers } from '../orders.ts'

/** A gRPC service for the users of a directory, and that directory. */
export async function start() {
  const tls = await developmentTls()
  const directory = await startSlapd()
  const { staff, store } = await usersOfDirectory(directory)
  const listener = await serve({ tls, guard: staff, services: [service({ definition, guard: staff, handlers })] })
  const close = async (): Promise<void> => {
    await listener.close()
    await store.close()
    await directory.stop()
  }
  return { tls, port: listener.port, origin: listener.origin, close }
}
