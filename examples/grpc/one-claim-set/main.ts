import { serve, service } from '@portcullis/grpc'
import { developmentTls } from '@portcullis/grpc/development'
import { oneClaimSet } from '../../mechanisms/one-claim-set.ts'
import { show } from '../../show.ts'
import { ask, definition, handlers } from '../orders.ts'

const tls = await developmentTls()
const { admins, signed } = oneClaimSet()
await using listener = await serve({ tls, guard: admins, services: [service({ definition, guard: admins, handlers })] })
const { port, origin } = listener
show('with the claims', await ask(port, tls.client, signed(origin)), 'order 7 is shipped, ballerina')
show('with another scp', await ask(port, tls.client, signed(origin, 'guest')), 'PERMISSION_DENIED')
show('without a token', await ask(port, tls.client), 'UNAUTHENTICATED')
