import type { IssuerOptions, JwtOptions, VerifierOptions } from '@portcullis/jwt'
import type { Kind } from '../kind.ts'
import { decryption, keys } from '../key-readers.ts'
import { packageOf } from '../package-of.ts'
import { isTable } from '../plain-data.ts'
import { anyTable, listOf, number, readTable, table, text, texts, type Reader, type Shape } from '../readers.ts'

const issuerShape = {
  issuer: text,
  audience: texts,
  keys,
  algorithms: texts,
  profile: text,
  typ: texts,
  claims: anyTable,
  scopeClaim: text,
  subjectClaim: text,
  clockToleranceSeconds: number,
  maxAgeSeconds: number,
} satisfies Shape<IssuerOptions, 'expiry'>

const bounds = table({ maxEntries: number })
const tokenCache: Reader = (where, value, making) => (isTable(value) ? bounds : text)(where, value, making)

/** What verifies a token; the rest is how the mechanism presents itself. */
export const verifierShape = {
  ...issuerShape,
  issuers: listOf(table(issuerShape)),
  tokenCache,
  verifyOn: text,
  decryption,
} satisfies Shape<VerifierOptions, 'expiry' | 'schema' | 'revocations' | 'clock'>

const shape = { ...verifierShape, name: text, realm: text, resourceMetadata: text } satisfies Shape<
  JwtOptions,
  'expiry' | 'schema' | 'revocations' | 'clock'
>

/** `[mechanisms.<name>.jwt]`: what `jwt()` of `@portcullis/jwt` takes. */
export const jwtKind: Kind = async (where, value, name, making) => {
  const { jwt } = await packageOf(where, '@portcullis/jwt', () => import('@portcullis/jwt'))
  // It checks what it is given, whatever the type says.
  return jwt({ name, clock: making.clock, ...(await readTable(where, value, shape, making)) } as unknown as JwtOptions)
}
