import { basicCredentials } from '@portcullis/auth'
import { show } from '../../show.ts'
import { ask } from '../orders.ts'
import { start } from './service.ts'

const { tls, port, origin, close } = await start()
const by = (username: string, password: string) => basicCredentials({ username, password, targets: [origin] })

show('ldclakmal, of the group admin', await ask(port, tls.client, by('ldclakmal', 'ldclakmal@123')), 'order 7 is shipped, ldclakmal')
show('alice, who is in another group', await ask(port, tls.client, by('alice', 'alice@123')), 'PERMISSION_DENIED')
show('alice with a wrong password', await ask(port, tls.client, by('alice', 'guess')), 'UNAUTHENTICATED')
show('a name with the wildcards of a filter', await ask(port, tls.client, by('*', 'alice@123')), 'UNAUTHENTICATED')
await close()
