import { expect, test } from 'vitest'
import { messageCredentials } from './message-credentials.ts'
import { messageCallerHeader, messageIdentityHeader } from './message-binding.ts'

const kindsOf = (...headers: [string, string | Buffer][]) => messageCredentials(headers).map(({ kind }) => kind)

test('an identity is an envelope, a caller is a bearer token, and other headers present nothing', () => {
  expect(messageCredentials([['Portcullis-Identity', Buffer.from('a.b.c')]])).toEqual([
    { kind: 'envelope', carrier: `header:${messageIdentityHeader}`, envelope: 'a.b.c' },
  ])
  expect(kindsOf([messageCallerHeader, 'token'], ['trace', 'x'], [messageIdentityHeader, 'a.b'])).toEqual(['bearer', 'envelope'])
  expect(kindsOf(['trace', 'x'])).toEqual([])
})

test.each([
  ['empty', ''],
  ['without parts', 'abc'],
  ['with a space', 'a. b'],
  ['not ASCII', 'a.ü'],
  ['bytes which are no text', Buffer.from([0x61, 0x2e, 0xff])],
  ['too long', `a.${'b'.repeat(1 << 20)}`],
])('an identity %s is malformed', (_why, value) => {
  expect(kindsOf([messageIdentityHeader, value])).toEqual(['malformed'])
})

test.each([
  ['empty', ''],
  ['with a line break', 'a\r\nb'],
  ['too long', 'b'.repeat(1 << 20)],
])('a caller %s is malformed', (_why, value) => {
  expect(kindsOf([messageCallerHeader, value])).toEqual(['malformed'])
})

test('two identities are both presented, for the guard to refuse; another header that comes twice is malformed', () => {
  expect(kindsOf([messageIdentityHeader, 'a.b'], ['PORTCULLIS-IDENTITY', 'c.d'])).toEqual(['envelope', 'envelope'])
  expect(kindsOf(['trace', 'x'], ['trace', 'y'])).toEqual(['malformed'])
  // Names that differ in case are two headers to every broker.
  expect(kindsOf(['trace', 'x'], ['Trace', 'y'])).toEqual([])
})
