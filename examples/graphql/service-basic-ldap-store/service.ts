import { serve } from '@portcullis/graphql'
import { developmentTls } from '@portcullis/graphql/development'
import { startSlapd } from '@portcullis/test-servers'
import { usersOfDirectory } from '../../mechanisms/basic-ldap-store.ts'
import { schema } from '../orders.ts'

/** A GraphQL service for the users of a directory, and that directory. */
export async function start() {
  const tls = await developmentTls()
  const directory = await startSlapd()
  const { staff, store } = await usersOfDirectory(directory)
  const listener = await serve({ tls, port: 0, guard: staff, yoga: { schema } })
  const close = async (): Promise<void> => {
    await listener.close()
    await store.close()
    await directory.stop()
  }
  return { tls, url: listener.url, origin: listener.origin, close }
}
