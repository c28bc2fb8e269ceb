/** Whether verifying grows with the number of keys; beside jose. */
import { generateKeyPairSync } from 'node:crypto'
import { createIssuer, createVerifier, keySet } from '@portcullis/jwt'
import { createLocalJWKSet, jwtVerify } from 'jose'
import type { RunOptions, Table } from '../table.ts'
import { inline, measure, oneByOne, ratio, readable, withSpread, type Variant } from '../measure.ts'
import { accepted, audience, differentTokens, issuer, turn } from './tokens.ts'

const counts = [1, 10, 100, 1_000, 10_000]
const algorithm = 'ES256'

/** Tokens of keys from all over a set at hand, and the looking up of their keys alone. */
export async function run({ quick }: RunOptions): Promise<Table> {
  const pairs = Array.from({ length: Math.max(...counts) }, (_, at) => {
    const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
    const keyId = `key-${at}`
    return { privateKey, keyId, jwk: { ...publicKey.export({ format: 'jwk' }), kid: keyId, alg: algorithm } }
  })
  const readMs = new Map<number, number>()
  const variants: Variant[] = []
  for (const count of counts) {
    const jwks = { keys: pairs.slice(0, count).map(({ jwk }) => jwk) }
    const startedAt = performance.now()
    const keys = keySet({ jwks })
    readMs.set(count, performance.now() - startedAt)
    const verifier = createVerifier({ issuer, audience, keys, verifyOn: 'eventLoop' })
    const joseKeys = createLocalJWKSet(jwks)
    const joseOptions = { issuer, audience, algorithms: [algorithm], requiredClaims: ['exp'] }
    const used = Array.from({ length: differentTokens }, (_, at) => pairs[Math.floor(((at + 0.5) * count) / differentTokens)]).filter(
      (pair) => pair !== undefined,
    )
    const texts = await Promise.all(
      used.map(async ({ privateKey, keyId }) => {
        const signing = createIssuer({ issuer, audience, key: { privateKey, algorithm, keyId }, expiresInSeconds: 86_400 })
        return Buffer.from(await signing.issue({ subject: 'user' }), 'latin1')
      }),
    )
    const next = turn(texts)
    const nextKey = turn(used.map(({ keyId }) => Buffer.from(keyId, 'latin1')))
    variants.push(
      inline(`ours ${count}`, () => accepted(verifier.verify(next()))),
      inline(`our look-up ${count}`, () => found(keys.find(nextKey(), algorithm))),
      oneByOne(`jose ${count}`, () => jwtVerify(next(), joseKeys, joseOptions)),
      oneByOne(`jose's look-up ${count}`, async () => found(await joseKeys({ alg: algorithm, kid: nextKey() }))),
    )
  }
  const measured = await measure(variants, quick ? { rounds: 7, roundMs: 10 } : { rounds: 40, roundMs: 20 })
  const cells = (name: string, count: number): string[] => [
    withSpread(measured.get(`${name} ${count}`)),
    String(ratio(measured, `${name} ${count}`, `${name} ${counts[0]}`)),
  ]
  return {
    title: 'JWT: sets of 1 to 10,000 keys',
    note: `Processor time for an ${algorithm} token of any of the keys, which are at hand (jose: createLocalJWKSet), and for finding the key alone; median of interleaved rounds (± half the distance of the quartiles), and how many times that of one key. Each key was used before. The last column is the time in which the set is read and checked, once.`,
    columns: [
      'keys',
      'ours',
      '× one key',
      'jose',
      '× one key',
      'our look-up',
      '× one key',
      "jose's look-up",
      '× one key',
      'our set is read in',
    ],
    rows: counts.map((count) => [
      count.toLocaleString('en'),
      ...['ours', 'jose', 'our look-up', "jose's look-up"].flatMap((name) => cells(name, count)),
      readable((readMs.get(count) ?? Number.NaN) * 1_000),
    ]),
  }
}

function found(key: unknown): void {
  if (typeof key !== 'object' || key === null || 'code' in key) throw new Error('no key')
}
