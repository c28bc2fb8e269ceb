import { afterEach, beforeEach, expect, test, vi } from 'vitest'

import { Evidence } from './evidence.ts'

const token = 'eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJhbGljZSJ9.c2lnbmF0dXJlLW9mLXRoZS10b2tlbg'
let evidence: Evidence

beforeEach(() => {
  evidence = new Evidence()
  evidence.secret(token)
})
afterEach(() => void vi.restoreAllMocks())

test.each([
  ['a text', token],
  ['a text with the signature alone', 'the signature is c2lnbmF0dXJlLW9mLXRoZS10b2tlbg'],
  ['the cause of an error', new Error('failed', { cause: { request: [token] } })],
  [
    'a getter',
    {
      get credential() {
        return token
      },
    },
  ],
  ['a hidden property', Object.defineProperty({}, 'hidden', { value: token, enumerable: false })],
] as const)('finds a secret in %s', (_where, what) => {
  evidence.saw('here', what)
  expect(() => evidence.expectNoSecrets()).toThrow(/^A secret was seen in: here\.$/)
})

test('finds nothing in what holds no secret', () => {
  evidence.saw('here', 'eyJhbGciOiJFUzI1NiJ9')
  evidence.saw('here', { subject: 'alice' })
  expect(() => evidence.expectNoSecrets()).not.toThrow()
})

test('finds a secret that is printed, by whatever means, and stops looking when told to', () => {
  const terminal = console
  const log = vi.spyOn(terminal, 'log').mockImplementation(() => undefined)
  const write = vi.spyOn(process.stderr, 'write').mockImplementation(() => true)
  const stop = evidence.watchOutput()
  terminal.log('checking %s', token)
  process.stderr.write(Buffer.from(token))
  stop()
  expect(() => evidence.expectNoSecrets()).toThrow('console.log, stderr')
  expect(write).toHaveBeenCalledOnce()
  terminal.log(token)
  expect(log).toHaveBeenCalledTimes(2)
})
