import { client } from '@portcullis/http'
import { show } from '../../show.ts'
import { start } from '../service-tls/service.ts'

const { tls, server, origin } = await start()
using call = await client({ tls: { side: 'client', trust: { pem: tls.authority } } })
show('the service', await (await call(origin)).json(), { hello: 'world' })
using elsewhere = await client({ tls: { side: 'client', trust: { pem: tls.authority } }, serverName: 'elsewhere.localhost' })
show('the same, expected under another name', await elsewhere(origin).catch((error: { code: string }) => error.code), 'ERR_HTTP_TLS')
show('without TLS', await call(origin.replace('https', 'http')).catch((error: { code: string }) => error.code), 'ERR_HTTP_INSECURE_TARGET')
await server.close()
