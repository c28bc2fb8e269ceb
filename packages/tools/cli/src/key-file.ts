import { createSecretKey, type KeyObject } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { loadPrivateKey, loadSecretKey, parsePublicKey } from '@portcullis/crypto'
import type { JsonWebKeySet, LocalKeys } from '@portcullis/jwt'
import { fileError } from './mistake.ts'
import { readSecret } from './secret-input.ts'
import type { Terminal } from './terminal.ts'

const curves = { alsoCurves: ['secp256k1'] } as const

/** What verifies, out of a file: a public key or certificate (PEM), a JWK, or a JWK set. */
export async function verificationKeys(path: string): Promise<LocalKeys> {
  const text = await textOf(path)
  if (!isJson(text)) return { publicKey: parsePublicKey({ pem: text }, curves) }
  const json = jsonOf(path, text)
  // A set knows the identifiers of its keys, and so does a set of one.
  return { jwks: Array.isArray(json['keys']) ? (json as unknown as JsonWebKeySet) : { keys: [json] } } // jwt checks it
}

/** What signs, out of a file: a private key as PEM (the password is asked for if it is encrypted), PKCS#12 or JWK. */
export async function signingKey(path: string, passwordFile: string | undefined, terminal: Terminal): Promise<KeyObject> {
  const password = async (): Promise<object> => ({ password: await readSecret(terminal, 'Password of the key', passwordFile) })
  if (/\.(p12|pfx)$/i.test(path)) return loadPrivateKey({ pkcs12File: path, ...(await password()) }, curves)
  const text = await textOf(path)
  if (isJson(text)) return loadPrivateKey({ jwk: jsonOf(path, text) }, curves)
  const isEncrypted = /-----BEGIN ENCRYPTED|Proc-Type: 4,ENCRYPTED/.test(text)
  return loadPrivateKey({ pem: text, ...((isEncrypted || passwordFile !== undefined) && (await password())) }, curves)
}

/** A secret shared with the other side, as its bytes. */
export async function sharedSecret(path: string, terminal: Terminal): Promise<KeyObject> {
  if (path === '-') return createSecretKey(Buffer.from((await readSecret(terminal, 'Secret', '-')).reveal(), 'utf8'))
  return loadSecretKey({ secretFile: path })
}

/** A JSON object out of a file. */
export async function objectOf(path: string): Promise<Readonly<Record<string, unknown>>> {
  return jsonOf(path, await textOf(path))
}

async function textOf(path: string): Promise<string> {
  return readFile(path, 'utf8').catch(() => {
    throw fileError(path, 'cannot be read')
  })
}

function isJson(text: string): boolean {
  return text.trimStart().startsWith('{')
}

function jsonOf(path: string, text: string): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(text)
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>
  } catch {
    // The parser's own message shows what it read.
  }
  throw fileError(path, 'is no JSON object')
}
