import { basicCredentials } from '@portcullis/auth'
import { client } from '@portcullis/http'
import { show } from '../../show.ts'
import { start } from '../service-basic-file-store/service.ts'

const { tls, server, origin, store } = await start()
const credentials = basicCredentials({ username: 'alice', password: () => 'alice@123', targets: [origin] })
using call = await client({ tls: tls.client, credentials })
show('the service, by password', await (await call(origin)).json(), { hello: 'alice' })
show(
  'another origin, for which the password is not',
  await call('https://localhost:1').catch((error: { code: string }) => error.code),
  'ERR_SOURCE_TARGET',
)
await server.close()
store.close()
