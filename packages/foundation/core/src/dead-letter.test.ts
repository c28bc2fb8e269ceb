import { expect, test } from 'vitest'
import { deadLetterHeaders } from './dead-letter.ts'

test('a dead letter says why it is one, when, and where the message stood', () => {
  const at = new Date('2026-01-02T03:04:05Z')
  expect(deadLetterHeaders({ reason: 'invalid', code: 'ERR_X', at }, { topic: 'orders', offset: '7' })).toEqual([
    ['portcullis-dead-letter-reason', 'identity-refused'],
    ['portcullis-dead-letter-code', 'ERR_X'],
    ['portcullis-dead-letter-at', '2026-01-02T03:04:05.000Z'],
    ['portcullis-dead-letter-topic', 'orders'],
    ['portcullis-dead-letter-offset', '7'],
  ])
})
