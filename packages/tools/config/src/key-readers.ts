import { loadPrivateKey, loadPublicKey, loadSecretKey, type PrivateKeySource, type PublicKeySource } from '@portcullis/crypto'
import type { DecryptionOptions, KeysOption } from '@portcullis/jwt'
import type { ClientTlsBundle, ClientTlsOptions } from '@portcullis/tls'
import type { Making } from './making.ts'
import { placed } from './mistake.ts'
import { packageOf } from './package-of.ts'
import { isTable, type Plain } from './plain-data.ts'
import {
  anyTable,
  file,
  listOf,
  number,
  numberOr,
  oneOf,
  readTable,
  secretValue,
  table,
  text,
  texts,
  type Reader,
  type Shape,
} from './readers.ts'

// Keys of secp256k1 are for ES256K, and which algorithms are taken is said elsewhere.
const curves = { alsoCurves: ['secp256k1'] } as const

const store = { pkcs12File: file, password: secretValue, alias: text }
const publicSource = oneOf({
  pem: { pem: text },
  pemFile: { pemFile: file },
  derFile: { derFile: file },
  jwk: { jwk: anyTable },
  pkcs12File: store,
})
const privateSource = oneOf({
  pem: { pem: text, password: secretValue },
  pemFile: { pemFile: file, password: secretValue },
  derFile: { derFile: file, password: secretValue },
  jwk: { jwk: anyTable },
  pkcs12File: store,
})

/** A public key, also out of a file or store. */
const publicKey: Reader = async (where, value, making) => {
  const source = (await publicSource(where, value, making)) as PublicKeySource
  return placed(where, () => loadPublicKey(source, curves))
}

/** A private key, also out of a file or store. */
export const privateKey: Reader = async (where, value, making) => {
  const source = (await privateSource(where, value, making)) as PrivateKeySource
  return placed(where, () => loadPrivateKey(source, curves))
}

/** A secret that signs: of a file, its bytes. */
export const secretKey: Reader = async (where, value, making) => {
  if (!isTable(value) || !Object.hasOwn(value, 'file')) return secretValue(where, value, making)
  const { file: secretFile } = await readTable(where, value, { file }, making)
  return placed(where, () => loadSecretKey({ secretFile: String(secretFile) }))
}

/** How encrypted tokens are opened. */
export const decryption = table({
  keys: listOf(
    oneOf({
      privateKey: { privateKey, keyId: text, algorithm: text },
      secret: { secret: secretKey, keyId: text, algorithm: text },
    }),
  ),
  encryptions: texts,
} satisfies Shape<DecryptionOptions>)

const oneKeySource = oneOf({
  jwksUri: { jwksUri: text, algorithms: texts, timeoutMs: number, refreshAfterMs: number, maxStaleMs: number },
  jwks: { jwks: anyTable },
  secret: { secret: secretKey, keyId: text, algorithms: texts },
  publicKey: { publicKey, keyId: text, algorithms: texts },
})
const severalKeySources = listOf(oneKeySource)

/** The keys of an issuer: one source, or a list of those at hand. */
export const keys: Reader = (where, value, making): Promise<KeysOption> =>
  (Array.isArray(value) ? severalKeySources : oneKeySource)(where, value, making) as Promise<KeysOption>

const certificates = oneOf({ pem: { pem: text }, pemFile: { pemFile: file }, derFile: { derFile: file }, pkcs12File: store })
const pair = oneOf({
  key: { key: privateSource, certificates },
  pem: { pem: text, password: secretValue },
  pemFile: { pemFile: file, password: secretValue },
  pkcs12File: store,
})
const clientTlsShape = {
  identity: (where, value, making) => (Array.isArray(value) ? listOf(pair) : pair)(where, value, making),
  trust: certificates,
  versions: texts,
  cipherSuites: texts,
  groups: texts,
  resumption: text,
  handshakeTimeoutMs: number,
  checkFilesEveryMs: numberOr('off'),
} satisfies Shape<ClientTlsOptions, 'side' | 'hostName' | 'clock'>

/** Whom a client trusts, as options of `@portcullis/tls`. */
export const clientTls = async (where: string, value: Plain, making: Making): Promise<ClientTlsOptions> => ({
  side: 'client',
  clock: making.clock,
  ...(await readTable(where, value, clientTlsShape, making)),
})

/** The same, opened as a bundle that ends with the policy. */
export const clientTlsBundle = async (where: string, value: Plain, making: Making): Promise<ClientTlsBundle> => {
  const options = await clientTls(where, value, making)
  const { tlsBundle } = await packageOf(where, '@portcullis/tls', () => import('@portcullis/tls'))
  const bundle = await placed(where, () => tlsBundle(options))
  making.closeLater(() => bundle.close())
  return bundle
}
