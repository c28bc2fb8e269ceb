import { guard, json, scope, serve } from '@portcullis/http'
import { developmentTls } from '@portcullis/http/development'
import { clientCertificate } from '@portcullis/tls'

/** A service for two tills, of which one may only read. */
export async function start() {
  const tls = await developmentTls({ clientCertificates: 'require' })
  const tills = guard({
    authenticate: clientCertificate({
      tls: tls.server,
      issuers: { development: { by: 'commonName', principals: { 'till-1': ['orders:read', 'orders:write'], 'till-2': ['orders:read'] } } },
    }),
    authorize: scope('orders:write'),
  })
  const server = await serve({ tls, port: 0, guard: tills }, (_request, principal) => json({ hello: principal.subject }))
  return { tls, server, origin: server.origin }
}
