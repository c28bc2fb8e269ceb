import { generateKeyPairSync, type KeyObject } from 'node:crypto'

import { createIssuer } from '@portcullis/jwt'
import { developmentTls, type DevelopmentTls } from '@portcullis/tls/development'

import type { Requests } from './measure.ts'

/** What every server of the measurements shares. */
export interface Scene {
  readonly tls: DevelopmentTls
  readonly publicKey: KeyObject
  readonly issuer: string
  readonly audience: string
  readonly requests: Requests
}

/** The path that is asked for, and the answer to it. */
export const path = '/orders/7'
export const body = JSON.stringify({ id: '7', state: 'shipped' })
/** The fields of the answer, which every server sends. */
export const answerFields: readonly string[] = [
  'content-type',
  'application/json',
  'cache-control',
  'no-store',
  'x-content-type-options',
  'nosniff',
  'content-length',
  String(body.length),
]

/** Makes keys, certificates and sixteen callers with RS256 tokens of their own. */
export async function makeScene(): Promise<Scene> {
  const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
  const issuer = 'https://issuer.localhost'
  const audience = 'orders'
  const signing = createIssuer({ issuer, audience, key: { privateKey, algorithm: 'RS256', keyId: 'k1' }, expiresInSeconds: 3600 })
  const fields = await Promise.all(
    Array.from({ length: 16 }, async (_, at) => ({
      'User-Agent': 'bench/1.0',
      Accept: 'application/json',
      'Accept-Language': 'en',
      Authorization: `Bearer ${await signing.issue({ subject: `caller-${at}`, claims: { scope: 'orders:read profile' } })}`,
    })),
  )
  const tls = await developmentTls()
  return { tls, publicKey, issuer, audience, requests: { authority: tls.authority, path, fields } }
}
