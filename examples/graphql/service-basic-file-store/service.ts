import { serve } from '@portcullis/graphql'
import { developmentTls } from '@portcullis/graphql/development'
import { usersOfFile } from '../../mechanisms/basic-file-store.ts'
import { schema } from '../orders.ts'

/** A GraphQL service for the users of a file. */
export async function start() {
  const tls = await developmentTls()
  const { staff, store, write } = await usersOfFile()
  const listener = await serve({ tls, port: 0, guard: staff, yoga: { schema } })
  return { tls, listener, url: listener.url, origin: listener.origin, store, write }
}
