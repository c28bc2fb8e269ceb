import { createHash, generateKeyPairSync, type JsonWebKey, type KeyObject } from 'node:crypto'
import { request, type RequestOptions } from 'node:https'
import type { IncomingHttpHeaders } from 'node:http'
import { memoryUserStore, type UserStore } from '@portcullis/auth'
import { secret } from '@portcullis/core'
import { hashPassword, publicJwk } from '@portcullis/crypto'
import { createSigner } from '@portcullis/jwt'
import { developmentTls, type DevelopmentTls } from '@portcullis/tls/development'
import { createSts, type Sts, type StsEvent, type StsOptions } from './index.ts'

export interface Answer {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly text: string
  readonly body: Readonly<Record<string, unknown>>
}

export type Form = Readonly<Record<string, string>> | readonly (readonly [string, string])[]

/** One exchange over HTTPS, by the runtime's own client. */
export function ask(url: string, options: RequestOptions, form?: Form): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const type = form === undefined ? {} : { 'content-type': 'application/x-www-form-urlencoded' }
    const sent = request(
      url,
      { method: form === undefined ? 'GET' : 'POST', agent: false, ...options, headers: { ...type, ...options.headers } },
      (response) => {
        let text = ''
        response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk))
        response.on('error', reject).on('end', () => {
          const isJson = response.headers['content-type']?.includes('json') === true
          const body = isJson ? (JSON.parse(text) as Answer['body']) : {}
          resolve({ status: response.statusCode ?? 0, headers: response.headers, text, body })
        })
      },
    )
    sent.on('error', reject)
    sent.end(form === undefined ? undefined : new URLSearchParams(form as Record<string, string>).toString())
  })
}

export function basic(id: string, password: string): { readonly authorization: string } {
  return { authorization: `Basic ${Buffer.from(`${encodeURIComponent(id)}:${encodeURIComponent(password)}`).toString('base64')}` }
}

export const shopSecret = 'shop-secret-of-32-random-letters'
export const stockSecret = 'stock-secret-of-32-random-letter'
export const alicePassword = 'correct horse battery staple'

let users: Promise<UserStore> | undefined

export function people(): Promise<UserStore> {
  return (users ??= (async () =>
    memoryUserStore({
      name: 'people',
      users: [
        { username: 'alice', password: await hashPassword(alicePassword), scopes: ['read', 'write'] },
        { username: 'bob', password: await hashPassword(alicePassword), scopes: ['read'] },
        { username: 'shop', password: await hashPassword(alicePassword), scopes: ['read'] },
      ],
    }))())
}

/** A token service with what most tests need, and a client for it. */
export interface Scene extends AsyncDisposable {
  readonly sts: Sts
  readonly tls: DevelopmentTls
  readonly events: StsEvent[]
  /** Posts a form to the token endpoint, by default as `shop`. */
  token(form: Form, headers?: Readonly<Record<string, string>>, more?: RequestOptions): Promise<Answer>
  introspect(token: string, headers?: Readonly<Record<string, string>>): Promise<Answer>
  revoke(token: string, headers?: Readonly<Record<string, string>>): Promise<Answer>
  get(path: string): Promise<Answer>
}

export const shop = basic('shop', shopSecret)
export const stock = basic('stock', stockSecret)

export async function scene(options: Partial<StsOptions> = {}): Promise<Scene> {
  const tls = await developmentTls({ clientCertificates: 'accept' })
  const events: StsEvent[] = []
  const sts = await createSts({
    tls,
    audiences: {
      orders: { scopes: ['read', 'write', 'admin'] },
      stock: { scopes: ['read', 'write'], format: 'opaque' },
      'https://bills.example': { scopes: ['read'], algorithm: 'RS256', lifetimeSeconds: 60 },
    },
    clients: [
      {
        id: 'shop',
        secret: secret(shopSecret),
        grants: ['client_credentials', 'password', 'refresh_token'],
        audiences: ['orders', 'stock', 'https://bills.example'],
        scopes: ['read', 'write'],
      },
      { id: 'stock', secret: secret(stockSecret), serves: ['stock'] },
    ],
    passwordGrant: { users: await people() },
    report: (event) => events.push(event),
    ...options,
  })
  const trust = { ca: tls.authority }
  return {
    sts,
    tls,
    events,
    token: (form, headers = shop, more = {}) => ask(sts.tokenEndpoint, { ...trust, ...more, headers }, form),
    introspect: (token, headers = stock) => ask(sts.introspectionEndpoint, { ...trust, headers }, { token }),
    revoke: (token, headers = shop) => ask(sts.revocationEndpoint, { ...trust, headers }, { token }),
    get: (path) => ask(`${sts.issuer}${path}`, trust),
    [Symbol.asyncDispose]: () => sts.close(),
  }
}

/** What a JWT says, unverified. */
export function claimsOf(token: unknown): Readonly<Record<string, unknown>> {
  return JSON.parse(Buffer.from(String(token).split('.')[1] ?? '', 'base64url').toString('utf8')) as Readonly<Record<string, unknown>>
}

export interface ProofKey {
  readonly privateKey: KeyObject
  readonly jwk: JsonWebKey
}

export function proofKey(): ProofKey {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  return { privateKey, jwk: publicJwk(publicKey) }
}

let proofs = 0

/** A DPoP proof (RFC 9449 section 4.2). */
export function dpopProof({ privateKey, jwk }: ProofKey, url: string, more: Readonly<Record<string, unknown>> = {}): Promise<string> {
  const signer = createSigner({ key: { privateKey, algorithm: 'ES256' }, typ: 'dpop+jwt', header: { jwk } })
  const iat = Math.floor(Date.now() / 1000)
  return signer.sign({ jti: `proof-${process.pid}-${++proofs}`, htm: 'POST', htu: url, iat, ...more })
}

export function sha256(text: string): string {
  return createHash('sha256').update(text).digest('base64url')
}
