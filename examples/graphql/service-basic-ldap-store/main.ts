import { basicCredentials } from '@portcullis/auth'
import { show } from '../../show.ts'
import { ask } from '../orders.ts'
import { start } from './service.ts'

const { tls, url, origin, close } = await start()
const by = (username: string, password: string) => basicCredentials({ username, password, targets: [origin] })

show('ldclakmal, of the group admin', await ask(url, tls.client, by('ldclakmal', 'ldclakmal@123')), 'order 7 is shipped, ldclakmal')
show('alice, who is in another group', await ask(url, tls.client, by('alice', 'alice@123')), 'ERR_GRAPHQL_FORBIDDEN')
show('alice with a wrong password', await ask(url, tls.client, by('alice', 'guess')), 'ERR_GRAPHQL_REFUSED')
show('a name with the wildcards of a filter', await ask(url, tls.client, by('*', 'alice@123')), 'ERR_GRAPHQL_REFUSED')
await close()
