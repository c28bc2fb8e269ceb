import { client } from '@portcullis/http'
import { show } from '../../show.ts'
import { start } from '../service-mutual-tls/service.ts'

const { tls, server, origin } = await start()
using call = await client({ tls: await tls.clientFor('till-1') })
show('the service, by certificate', await (await call(origin)).json(), { hello: 'till-1' })
await server.close()
