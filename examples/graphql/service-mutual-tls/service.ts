import { serve } from '@portcullis/graphql'
import { developmentTls } from '@portcullis/graphql/development'
import { certificatesOfTills } from '../../mechanisms/mutual-tls.ts'
import { schema } from '../orders.ts'

/** A GraphQL service that knows its clients by their certificates. */
export async function start() {
  const tls = await developmentTls({ clientCertificates: 'require' })
  const listener = await serve({ tls, port: 0, guard: certificatesOfTills(tls), yoga: { schema } })
  return { tls, listener, url: listener.url, origin: listener.origin }
}
