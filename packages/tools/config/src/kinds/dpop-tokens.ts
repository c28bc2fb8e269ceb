import type { VerifierOptions } from '@portcullis/jwt'
import type { DpopTokensOptions, IntrospectionJudgeOptions } from '@portcullis/oauth2'
import type { Kind } from '../kind.ts'
import { placed } from '../mistake.ts'
import { packageOf } from '../package-of.ts'
import { below } from '../plain-data.ts'
import { number, oneOf, readTable, secretValue, text, texts, type Reader, type Shape } from '../readers.ts'
import { introspectionShape } from './introspection.ts'
import { verifierShape } from './jwt.ts'

const oauth2 = (where: string) => packageOf(where, '@portcullis/oauth2', () => import('@portcullis/oauth2'))

const judges = oneOf({
  jwt: { jwt: (where, value, making) => readTable(where, value, verifierShape, making) },
  introspection: { introspection: (where, value, making) => readTable(where, value, introspectionShape, making) },
})

/** `tokens.jwt` or `tokens.introspection`: who judges the token itself. The judges check what they are given, whatever the types say. */
const tokens: Reader = async (where, value, making) => {
  const { jwt, introspection } = (await judges(where, value, making)) as { jwt?: object; introspection?: object }
  if (jwt === undefined) {
    const { introspectionJudge } = await oauth2(where)
    return placed(below(where, 'introspection'), () => introspectionJudge(introspection as IntrospectionJudgeOptions))
  }
  const { accessTokenJudge } = await packageOf(where, '@portcullis/jwt', () => import('@portcullis/jwt'))
  return placed(below(where, 'jwt'), () => accessTokenJudge({ clock: making.clock, ...jwt } as VerifierOptions))
}

const nonces: Reader = async (where, value, making) => {
  const options = await readTable(where, value, { secret: secretValue, lifetimeSeconds: number }, making)
  const { dpopNonces } = await oauth2(where)
  return placed(where, () => dpopNonces(options))
}

const shape = {
  tokens,
  nonces,
  maxAgeSeconds: number,
  clockToleranceSeconds: number,
  algorithms: texts,
  name: text,
  realm: text,
  resourceMetadata: text,
} satisfies Shape<DpopTokensOptions, 'replays'>

/** `[mechanisms.<name>.dpopTokens]`: what `dpopTokens()` of `@portcullis/oauth2` takes. */
export const dpopTokensKind: Kind = async (where, value, name, making) => {
  const { dpopTokens } = await oauth2(where)
  return dpopTokens({ name, ...(await readTable(where, value, shape, making)) } as unknown as DpopTokensOptions) // it checks them itself
}
