import { expect, it } from 'vitest'
import type { KafkaMessage } from './record.ts'
import { deadLetterOf, withoutContent } from './refuse.ts'

const message: KafkaMessage = {
  topic: 'orders',
  partition: 2,
  offset: 7n,
  key: Buffer.from('k'),
  value: undefined,
  headers: [
    ['trace', Buffer.from([0xff])],
    ['Portcullis-Dead-Letter-Code', Buffer.from('MINE')],
  ],
  appendedAt: undefined,
}
const letter = { reason: 'invalid', code: 'ERR_TEST', at: new Date(0) } as const
const said = [
  ['portcullis-dead-letter-reason', Buffer.from('identity-refused')],
  ['portcullis-dead-letter-code', Buffer.from('ERR_TEST')],
  ['portcullis-dead-letter-at', Buffer.from('1970-01-01T00:00:00.000Z')],
  ['portcullis-dead-letter-topic', Buffer.from('orders')],
  ['portcullis-dead-letter-partition', Buffer.from('2')],
  ['portcullis-dead-letter-offset', Buffer.from('7')],
]

it('stores a message with its bytes, and drops what somebody else wrote in our name', () => {
  expect(deadLetterOf(message, letter, 'dead')).toEqual({
    topic: 'dead',
    key: Buffer.from('k'),
    value: undefined,
    headers: [['trace', Buffer.from([0xff])], ...said],
  })
})

it('says what was left out, and stores no tombstone in its place', () => {
  expect(withoutContent(message, letter, 'dead')).toEqual({
    topic: 'dead',
    key: undefined,
    value: Buffer.alloc(0),
    headers: [...said, ['portcullis-dead-letter-omitted', Buffer.from('key, value, headers')]],
  })
})
