import type {
  AuthorizationServerOptions,
  ClientAuthentication,
  Endpoints,
  IntrospectionJudgeOptions,
  IntrospectionOptions,
  SignedAnswersOptions,
} from '@portcullis/oauth2'
import { clientTlsBundle, keys, privateKey } from '../key-readers.ts'
import type { Kind } from '../kind.ts'
import { mistake, placed } from '../mistake.ts'
import { packageOf } from '../package-of.ts'
import { isTable } from '../plain-data.ts'
import { anyTable, number, readTable, secretValue, table, tableOf, text, texts, type Reader, type Shape } from '../readers.ts'

const oauth2 = (where: string) => packageOf(where, '@portcullis/oauth2', () => import('@portcullis/oauth2'))

const endpoints = {
  token: text,
  introspection: text,
  revocation: text,
  authorization: text,
  deviceAuthorization: text,
  jwks: text,
} satisfies Shape<Endpoints>
const serverShape = {
  issuer: text,
  endpoints: table(endpoints),
  tls: clientTlsBundle,
  connectTimeoutMs: number,
  timeoutMs: number,
  headers: tableOf(text),
} satisfies Shape<AuthorizationServerOptions, 'clock' | 'random'>

const server: Reader = async (where, value, making) => {
  const { authorizationServer } = await oauth2(where)
  const options = { clock: making.clock, ...(await readTable(where, value, serverShape, making)) }
  return placed(where, () => authorizationServer(options as unknown as AuthorizationServerOptions)) // it checks them itself
}

const signingKey = table({ privateKey, keyId: text, algorithm: text })

/** `{ method = "client_secret_basic", clientId = …, clientSecret = … }`: the factory of that name. */
const client: Reader = async (where, value, making) => {
  const { clientAuthenticationMethods } = await oauth2(where)
  const { method, ...options } = await readTable(
    where,
    value,
    { method: text, clientId: text, clientSecret: secretValue, key: signingKey, audience: text, algorithm: text },
    making,
  )
  const known: Readonly<Record<string, unknown>> = clientAuthenticationMethods
  if (typeof method !== 'string' || !Object.hasOwn(known, method))
    throw mistake('ERR_OPTION_INVALID', `${where}.method`, `is one of ${Object.keys(known).join(', ')}.`)
  const make = known[method] as (options: Record<string, unknown>) => ClientAuthentication // each factory checks its own options
  return placed(where, () => make(options))
}

const cacheBounds = table({ maxEntries: number, maxAgeMs: number })
const cache: Reader = (where, value, making) => (isTable(value) ? cacheBounds : text)(where, value, making)

/** What judges a token; the rest is how the mechanism presents itself. */
export const introspectionShape = {
  server,
  client,
  tokenTypeHint: text,
  signedAnswers: table({ keys, algorithms: texts, audience: text } satisfies Shape<SignedAnswersOptions>),
  parameters: tableOf(texts),
  cache,
  defaultLifetimeSeconds: number,
  audience: texts,
  claims: anyTable,
  scopeClaim: text,
  subjectClaim: text,
  clockToleranceSeconds: number,
  maxAgeSeconds: number,
} satisfies Shape<IntrospectionJudgeOptions, 'credentials' | 'schema' | 'issuerClaim'>

const shape = { ...introspectionShape, name: text, realm: text, resourceMetadata: text } satisfies Shape<
  IntrospectionOptions,
  'credentials' | 'schema' | 'issuerClaim'
>

/** `[mechanisms.<name>.introspection]`: what `introspection()` of `@portcullis/oauth2` takes. */
export const introspectionKind: Kind = async (where, value, name, making) => {
  const { introspection } = await oauth2(where)
  // It checks what it is given, whatever the type says.
  return introspection({ name, ...(await readTable(where, value, shape, making)) } as unknown as IntrospectionOptions)
}
