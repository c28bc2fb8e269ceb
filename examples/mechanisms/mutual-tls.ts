import { guard, scope } from '@portcullis/core'
import { clientCertificate, type ServerTlsBundle } from '@portcullis/tls'

/** A guard for two tills that it knows by their certificates; one of them may only read, which is not enough. */
export function certificatesOfTills(tls: ServerTlsBundle) {
  return guard({
    authenticate: clientCertificate({
      tls,
      issuers: { development: { by: 'commonName', principals: { 'till-1': ['orders:read', 'orders:write'], 'till-2': ['orders:read'] } } },
    }),
    authorize: scope('orders:write'),
  })
}
