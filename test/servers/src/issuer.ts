import { createPublicKey, generateKeyPairSync, randomUUID, sign } from 'node:crypto'
import { existsSync, linkSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { privateFolder } from './folder.ts'

/** Signs JSON Web Tokens for the foreign servers, with node:crypto alone: what is under test must not have made the proof. */
export interface Issuer {
  readonly directory: string
  readonly issuer: string
  readonly kid: string
  /** A JSON Web Key Set with the one public key. */
  readonly jwksFile: string
  readonly jwks: { keys: Record<string, unknown>[] }
  /** PEM; RS256, the algorithm that every server knows. */
  readonly publicKey: string
  readonly publicKeyFile: string
  readonly privateKey: string
  /** A signed token. `iss`, `iat`, `exp` (in five minutes) and `jti` are filled in where the claims do not say. */
  token(claims: Readonly<Record<string, unknown>>): string
}

/** Makes an issuer with a new key, or opens the one that lies in this directory. */
export function createIssuer(options: { directory?: string; issuer?: string; kid?: string } = {}): Issuer {
  const directory = options.directory ?? privateFolder('issuer')
  mkdirSync(directory, { recursive: true })
  const { issuer = 'https://sts.test', kid = 'k1' } = options
  const keyFile = path.join(directory, 'issuer.key')
  if (!existsSync(keyFile)) {
    const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
    const draft = `${keyFile}.${process.pid}`
    writeFileSync(draft, privateKey.export({ type: 'pkcs8', format: 'pem' }), { mode: 0o600 })
    try {
      // Of several processes that start at once, one makes the key and all use it.
      linkSync(draft, keyFile)
    } catch (error) {
      if (!existsSync(keyFile)) throw error
    }
  }
  const privateKey = readFileSync(keyFile, 'utf8')
  const publicKey = createPublicKey(privateKey)
  const jwks = { keys: [{ ...publicKey.export({ format: 'jwk' }), kid, alg: 'RS256', use: 'sig' }] }
  const [jwksFile, publicKeyFile] = [path.join(directory, 'jwks.json'), path.join(directory, 'issuer.pub')]
  const publicPem = publicKey.export({ type: 'spki', format: 'pem' }).toString()
  writeFileSync(jwksFile, JSON.stringify(jwks))
  writeFileSync(publicKeyFile, publicPem)
  const token = (claims: Readonly<Record<string, unknown>>): string => {
    const now = Math.floor(Date.now() / 1000)
    const body = { iss: issuer, iat: now, exp: now + 300, jti: randomUUID(), ...claims }
    const signed = [{ alg: 'RS256', typ: 'JWT', kid }, body]
      .map((part) => Buffer.from(JSON.stringify(part)).toString('base64url'))
      .join('.')
    return `${signed}.${sign('sha256', Buffer.from(signed), privateKey).toString('base64url')}`
  }
  return { directory, issuer, kid, jwksFile, jwks, publicKey: publicPem, publicKeyFile, privateKey, token }
}
