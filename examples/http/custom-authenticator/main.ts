import { createHmac } from 'node:crypto'
import { equalConstantTime } from '@portcullis/crypto'
import { authenticator, client, guard, json, notMine, refused, serve, vouchForPrincipal } from '@portcullis/http'
import { developmentTls } from '@portcullis/http/development'
import { show } from '../../show.ts'

// `Authorization: Ticket <name>.<end>.<tag>`
const key = 'a secret of the ticket office, thirty-two bytes'
const tag = (text: string): string => createHmac('sha256', key).update(text).digest('base64url')
const ticket = (name: string, end: number): string => `${name}.${end}.${tag(`${name}.${end}`)}`

const tickets = authenticator(
  'ticket',
  ({ credentials: [credential] }) => {
    if (credential?.kind !== 'scheme' || credential.scheme !== 'ticket') return notMine
    const [name = '', end = '', presented = ''] = credential.parameters.reveal().split('.')
    if (!equalConstantTime(presented, tag(`${name}.${end}`))) return refused('ERR_TICKET_FORGED')
    // The guard looks at the expiry itself, here and on every live connection.
    return vouchForPrincipal({ issuer: 'ticket-office', subject: name, expiresAt: new Date(Number(end)) })
  },
  [{ scheme: 'Ticket' }],
)
const tls = await developmentTls()
await using server = await serve({ tls, port: 0, guard: guard({ authenticate: tickets }) }, (_request, principal) =>
  json({ hello: principal.subject }),
)
using call = await client({ tls: tls.client })
const status = async (text: string): Promise<number> => (await call(server.origin, { headers: { authorization: `Ticket ${text}` } })).status

show('a ticket', await status(ticket('ann', Date.now() + 60_000)), 200)
show('a ticket that is over', await status(ticket('ann', Date.now() - 1)), 401)
show('a ticket with another name', await status(ticket('ann', Date.now() + 60_000).replace('ann', 'bob')), 401)
show('the challenge of who brings none', (await call(server.origin)).headers.get('www-authenticate'), 'Ticket')
