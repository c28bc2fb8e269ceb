import { expect, it } from 'vitest'
import { signedForm, type NatsMessage } from './message.ts'
import { deadLetterOf, refusalOf } from './refuse.ts'

const message: NatsMessage = {
  subject: 'orders',
  content: Buffer.from('x'),
  id: '7',
  headers: new Map([
    ['Nats-Msg-Id', ['7']],
    ['Nats-Rollup', ['all']],
    ['nats-expected-stream', ['OTHER']],
    ['Portcullis-Dead-Letter-Code', ['MINE']],
    ['trace', ['a', 'b']],
  ]),
  reply: undefined,
  stored: undefined,
}
const letter = { reason: 'invalid', code: 'ERR_TEST', at: new Date(0) } as const

it('drops of a dead letter what would tell the server what to do with the others, and what somebody else wrote in our name', () => {
  const headers = Object.fromEntries([...deadLetterOf(message, letter)].map(([name, values]) => [name, values.join()]))
  expect(headers).toEqual({
    trace: 'a,b',
    'portcullis-dead-letter-id': '7',
    'portcullis-dead-letter-subject': 'orders',
    'portcullis-dead-letter-reason': 'identity-refused',
    'portcullis-dead-letter-code': 'ERR_TEST',
    'portcullis-dead-letter-at': '1970-01-01T00:00:00.000Z',
  })
})

it('tells a requester a status, and not why', () => {
  expect([...refusalOf(letter)]).toEqual([
    ['Nats-Service-Error-Code', ['401']],
    ['Nats-Service-Error', ['The credentials were not accepted.']],
  ])
})

it('signs where an answer is to go, and no header of the server', () => {
  const headers = [
    ['Nats-Expected-Stream', 'x'],
    ['tenant', 'acme'],
  ] as const
  expect([...signedForm(headers, 'inbox')]).toEqual([
    ['tenant', 'acme'],
    ['nats:reply', 'inbox'],
  ])
})
