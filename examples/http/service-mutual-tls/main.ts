import { client } from '@portcullis/http'
import { show } from '../../show.ts'
import { start } from './service.ts'

const { tls, server, origin } = await start()
for (const [name, expected] of [
  ['till-1', 200],
  ['till-2', 403],
  ['mallory', 403],
] as const) {
  using call = await client({ tls: await tls.clientFor(name) })
  show(`a client with the certificate of ${name}`, (await call(origin)).status, expected)
}
using bare = await client({ tls: tls.client })
show(
  'a client without a certificate',
  await bare(origin).then(
    (answer) => answer.status,
    (error: { code: string }) => error.code,
  ),
  'ERR_HTTP_TLS',
)
await server.close()
