import { basicCredentials } from '@portcullis/auth'
import { client } from '@portcullis/http'
import { show } from '../../show.ts'
import { stay } from '../../serving.ts'
import { start } from './service.ts'

const { tls, server, origin, store, write } = await start()
const status = async (username: string, password: string): Promise<unknown> => {
  using call = await client({ tls: tls.client, credentials: basicCredentials({ username, password, targets: [origin] }) })
  return call(origin).then(
    (answer) => answer.status,
    (error: { code: string }) => error.code,
  )
}
using nobody = await client({ tls: tls.client })

show('nobody', (await nobody(origin)).status, 401)
show('alice', await status('alice', 'alice@123'), 200)
show('alice with a wrong password', await status('alice', 'guess'), 401)
show('bob, who may not read', await status('bob', 'bob@123'), 403)
await stay(tls.authority, (ca) => [`curl --cacert ${ca} --user alice:alice@123 ${origin}`])
await write(['bob', 'bob@123', []])
await store.reload()
show('alice, after she was removed from the file', await status('alice', 'alice@123'), 401)
await server.close()
store.close()
