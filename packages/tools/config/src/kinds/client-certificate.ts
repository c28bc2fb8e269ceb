import type { ClientCertificateOptions } from '@portcullis/tls'
import type { Kind } from '../kind.ts'
import { packageOf } from '../package-of.ts'
import { asItStands, readTable, table, tableOf, text, type Shape } from '../readers.ts'

const rule = table({ by: text, principals: tableOf(asItStands), everyone: table({ scopes: asItStands }) })
const shape = { issuers: tableOf(rule) } satisfies Shape<ClientCertificateOptions, 'tls'>

/** `[mechanisms.<name>.clientCertificate]`: what `clientCertificate()` of `@portcullis/tls` takes; its `tls`, the listener's bundle, comes from code. */
export const clientCertificateKind: Kind = async (where, value, _name, making) => {
  const { clientCertificate } = await packageOf(where, '@portcullis/tls', () => import('@portcullis/tls'))
  return clientCertificate((await readTable(where, value, shape, making)) as unknown as ClientCertificateOptions) // it checks them itself
}
