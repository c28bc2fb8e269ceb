import type { ApiKey, ApiKeysOptions } from '@portcullis/auth'
import type { Kind } from '../kind.ts'
import { packageOf } from '../package-of.ts'
import { anyTable, date, listOf, readTable, secretValue, table, text, texts, type Shape } from '../readers.ts'

const keyShape = { key: secretValue, subject: text, scopes: texts, claims: anyTable, expiresAt: date } satisfies Shape<ApiKey>
const shape = { name: text, carrier: text, keys: listOf(table(keyShape)), realm: text } satisfies Shape<ApiKeysOptions>

/** `[mechanisms.<name>.apiKeys]`: what `apiKeys()` of `@portcullis/auth` takes. */
export const apiKeysKind: Kind = async (where, value, name, making) => {
  const { apiKeys } = await packageOf(where, '@portcullis/auth', () => import('@portcullis/auth'))
  return apiKeys({ name, ...(await readTable(where, value, shape, making)) } as unknown as ApiKeysOptions) // it checks them itself
}
