import { expect, test } from 'vitest'
import { fromDer, toDer } from './ecdsa-format.ts'

const hex = (text: string) => Buffer.from(text, 'hex')

// X.690 section 8.3: integers are signed and of the shortest form; SEC 1 section C.8 for the sequence.
test.each([
  ['small numbers', '0001', '0002', '3006020101020102'],
  ['a high bit, which needs a zero', '80ff', '7fff', '300902030080ff02027fff'],
  ['leading zeros', '0000', '0080', '300702010002020080'],
])('%s', (_, r, s, der) => {
  expect(toDer(hex(r + s), 2)?.toString('hex')).toBe(der)
  expect(fromDer(hex(der), 2).toString('hex')).toBe(r + s)
})

test('a sequence of more than 127 bytes, as P-521 has', () => {
  const number = `01${'ff'.repeat(65)}`
  const der = toDer(hex(number + number), 66)
  expect(der?.toString('hex')).toBe(`308188${`0242${number}`.repeat(2)}`)
  expect(fromDer(der!, 66).toString('hex')).toBe(number + number)
})

test('another length', () => {
  for (const length of [0, 63, 65, 128]) expect(toDer(Buffer.alloc(length), 32)).toBeUndefined()
})
