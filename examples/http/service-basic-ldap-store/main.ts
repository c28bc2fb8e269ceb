import { basicCredentials } from '@portcullis/auth'
import { client } from '@portcullis/http'
import { show } from '../../show.ts'
import { start } from './service.ts'

const { tls, origin, close } = await start()
const status = async (username: string, password: string): Promise<number> => {
  using call = await client({ tls: tls.client, credentials: basicCredentials({ username, password, targets: [origin] }) })
  return (await call(origin)).status
}
show('ldclakmal, of the group admin', await status('ldclakmal', 'ldclakmal@123'), 200)
show('alice, who is in another group', await status('alice', 'alice@123'), 403)
show('alice with a wrong password', await status('alice', 'guess'), 401)
show('a name with the wildcards of a filter', await status('*', 'alice@123'), 401)
await close()
