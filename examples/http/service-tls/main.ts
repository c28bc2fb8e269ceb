import { client } from '@portcullis/http'
import { show } from '../../show.ts'
import { stay } from '../../serving.ts'
import { start } from './service.ts'

const { tls, server, origin } = await start()
using trusting = await client({ tls: tls.client })
using stranger = await client()
show('a client that trusts the service', (await trusting(origin)).status, 200)
show('a client that does not know its authority', await stranger(origin).catch((error: { code: string }) => error.code), 'ERR_HTTP_TLS')
await stay(tls.authority, (ca) => [`curl --cacert ${ca} ${origin}`])
await server.close()
