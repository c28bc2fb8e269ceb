import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { refusal, temporaryFolder } from './openssl.test-support.ts'
import { loadSecretKey } from './secret-key.ts'

const folder = temporaryFolder()

test.each([
  ['abc', 'abc'],
  ['abc\n', 'abc'],
  ['abc\r\n', 'abc'],
  ['abc\n\n', 'abc\n'],
  ['\nabc ', '\nabc '],
])('a file with %j is the secret %j', async (content, secret) => {
  writeFileSync(join(folder, 'secret'), content)
  expect((await loadSecretKey({ secretFile: join(folder, 'secret') })).export().toString()).toBe(secret)
})

test.each(['', '\n', '\r\n'])('a file with nothing but %j', async (content) => {
  writeFileSync(join(folder, 'secret'), content)
  await refusal('ERR_CRYPTO_OPTION_INVALID', () => loadSecretKey({ secretFile: join(folder, 'secret') }))
})

test('no file', async () => {
  await refusal('ERR_CRYPTO_FILE_UNREADABLE', () => loadSecretKey({ secretFile: join(folder, 'none') }))
})
