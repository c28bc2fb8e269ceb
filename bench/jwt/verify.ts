/** Verifying tokens: uncached and remembered; beside the raw runtime, fast-jwt, jose and jsonwebtoken. */
import { generateKeyPairSync, sign, verify, type KeyObject } from 'node:crypto'
import { createIssuer, createVerifier } from '@portcullis/jwt'
import { createVerifier as fastVerifier } from 'fast-jwt'
import { importJWK, jwtVerify } from 'jose'
import jsonwebtoken from 'jsonwebtoken'
import type { RunOptions, Table } from '../table.ts'
import { inline, measure, oneByOne, ratio, type Measured, type Variant } from '../measure.ts'
import { accepted, audience, differentTokens, issuer, turn } from './tokens.ts'

// As many at once as a busy server has; it lets those who verify on threads use all of them.
const atOnce = 32

type Algorithm = 'RS256' | 'ES256' | 'EdDSA'

interface Tokens {
  readonly key: KeyObject
  /** Kept as bytes: each use makes a fresh string, as a request does. */
  readonly texts: readonly Buffer[]
  readonly raw: readonly { readonly data: Buffer; readonly signature: Buffer }[]
}

function pairOf(algorithm: Algorithm): { readonly publicKey: KeyObject; readonly privateKey: KeyObject } {
  if (algorithm === 'RS256') return generateKeyPairSync('rsa', { modulusLength: 2048 })
  return algorithm === 'ES256' ? generateKeyPairSync('ec', { namedCurve: 'P-256' }) : generateKeyPairSync('ed25519')
}

async function tokensOf(algorithm: Algorithm, count: number): Promise<Tokens> {
  const { publicKey, privateKey } = pairOf(algorithm)
  const hash = algorithm === 'EdDSA' ? null : 'sha256'
  const signing = createIssuer({ issuer, audience, key: { privateKey, algorithm, keyId: 'key-1' }, expiresInSeconds: 86_400 })
  const texts = await Promise.all(
    Array.from({ length: count }, async (_, at) =>
      Buffer.from(
        await signing.issue({ subject: `user-${at}`, claims: { scope: 'orders:read orders:write', client_id: 'web' } }),
        'latin1',
      ),
    ),
  )
  const raw = texts.slice(0, differentTokens).map((text) => {
    const data = text.subarray(0, text.lastIndexOf('.'))
    return { data, signature: sign(hash, data, privateKey) }
  })
  return { key: publicKey, texts, raw }
}

function concurrent(name: string, once: () => unknown): Variant {
  return {
    name,
    async batch(times) {
      let left = times
      const worker = async (): Promise<void> => {
        while (left-- > 0) await once()
      }
      await Promise.all(Array.from({ length: atOnce }, worker))
    },
  }
}

async function uncached(algorithm: Algorithm, quick: boolean): Promise<(string | number)[][]> {
  const { key, texts, raw } = await tokensOf(algorithm, differentTokens)
  const row = { issuer, audience, keys: { publicKey: key } } as const
  const onLoop = createVerifier({ ...row, verifyOn: 'eventLoop' })
  const onThreads = createVerifier(row)
  const pem = String(key.export({ type: 'spki', format: 'pem' }))
  const fast = fastVerifier({
    key: pem,
    algorithms: [algorithm],
    allowedIss: issuer,
    allowedAud: audience,
    requiredClaims: ['exp', 'iss', 'aud'],
    cache: false,
  })
  const joseKey = await importJWK({ ...key.export({ format: 'jwk' }), alg: algorithm } as never, algorithm)
  const joseOptions = { issuer, audience, algorithms: [algorithm], requiredClaims: ['exp'] }
  const next = turn(texts)
  const hash = algorithm === 'EdDSA' ? null : 'sha256'
  let at = 0
  const variants: Variant[] = [
    inline('raw', () => {
      at = (at + 1) % raw.length
      const one = raw[at]
      if (one === undefined || !verify(hash, one.data, key, one.signature)) throw new Error('raw')
    }),
    inline('ours', () => accepted(onLoop.verify(next()))),
    inline('fast-jwt', () => fast(next()) as unknown),
    ...(algorithm === 'EdDSA'
      ? []
      : [inline('jsonwebtoken', () => jsonwebtoken.verify(next(), key, { algorithms: [algorithm], issuer, audience }))]),
    concurrent('ours, 32 at once', async () => accepted(await onThreads.verify(next()))),
    concurrent('jose, 32 at once', async () => jwtVerify(next(), joseKey, joseOptions)),
    oneByOne('jose', () => jwtVerify(next(), joseKey, joseOptions)),
  ]
  const measured = await measure(variants, quick ? { rounds: 7, roundMs: 10 } : { rounds: 60, roundMs: 25 })
  const goals: Readonly<Record<Algorithm, number>> = { RS256: 0.85, ES256: 0.92, EdDSA: 0.94 }
  return [
    rowOf(`${algorithm} uncached`, measured.get('raw'), '', ''),
    rowOf(`${algorithm} uncached`, measured.get('ours'), `${ratio(measured, 'raw', 'ours')} of raw`, `>= ${goals[algorithm]}`),
    rowOf(`${algorithm} uncached`, measured.get('fast-jwt'), `${ratio(measured, 'fast-jwt', 'ours')} x ours`, '> 1'),
    ...(algorithm === 'EdDSA'
      ? []
      : [rowOf(`${algorithm} uncached`, measured.get('jsonwebtoken'), `${ratio(measured, 'jsonwebtoken', 'ours')} x ours`, '')]),
    rowOf(`${algorithm} uncached`, measured.get('jose'), `${ratio(measured, 'jose', 'ours')} x ours`, '>= 1.3'),
    rowOf(`${algorithm} uncached`, measured.get('ours, 32 at once'), '', ''),
    rowOf(
      `${algorithm} uncached`,
      measured.get('jose, 32 at once'),
      `${ratio(measured, 'jose, 32 at once', 'ours, 32 at once')} x ours, 32 at once`,
      '',
    ),
  ]
}

async function cached(count: number, quick: boolean): Promise<(string | number)[][]> {
  const { key, texts } = await tokensOf('RS256', count)
  const headers = texts.map((text) => Buffer.concat([Buffer.from('Bearer '), text]))
  const ours = createVerifier({ issuer, audience, keys: { publicKey: key }, tokenCache: { maxEntries: count } })
  const fast = fastVerifier({
    key: String(key.export({ type: 'spki', format: 'pem' })),
    algorithms: ['RS256'],
    allowedIss: issuer,
    allowedAud: audience,
    requiredClaims: ['exp', 'iss', 'aud'],
    cache: count,
  })
  for (const text of texts) {
    await ours.verify(text.toString('latin1'))
    fast(text.toString('latin1'))
  }
  // In an order that no prefetcher of the processor knows.
  const order = Uint32Array.from({ length: 65_536 }, () => Math.floor(Math.random() * count))
  let at = 0
  const next = (): string => {
    at = (at + 1) & 65_535
    const header = headers[order[at] ?? 0]?.toString('latin1') ?? ''
    if (!header.startsWith('Bearer ')) throw new Error('scheme')
    return header.slice(7)
  }
  const measured = await measure(
    [
      inline('ours', () => accepted(ours.verify(next()))),
      inline('fast-jwt', () => fast(next()) as unknown),
      inline('(the fresh string alone)', next),
    ],
    quick ? { rounds: 7, roundMs: 10 } : { rounds: 60, roundMs: 25 },
  )
  const of = `remembered, ${count} tokens`
  return [
    rowOf(of, measured.get('ours'), '', ''),
    rowOf(of, measured.get('fast-jwt'), `${ratio(measured, 'fast-jwt', 'ours')} x ours`, count === 500 ? '>= 2.2' : ''),
    rowOf(of, measured.get('(the fresh string alone)'), '', ''),
  ]
}

function rowOf(what: string, measured: Measured | undefined, compared: string, goal: string): (string | number)[] {
  if (measured === undefined) throw new Error(what)
  const digits = measured.median < 10 ? 3 : 1
  return [
    what,
    measured.name,
    Number(measured.median.toFixed(digits)),
    `${(measured.spread * 100).toFixed(0)} %`,
    compared,
    goal === '' ? '' : `${goal}: ${isMet(compared, goal) ? 'met' : 'MISSED'}`,
  ]
}

/** Whether a comparison such as `0.86 of raw` reaches a goal such as `>= 0.85` or `> 1`. */
function isMet(compared: string, goal: string): boolean {
  const [relation, bound] = goal.split(' ')
  return relation === '>' ? Number.parseFloat(compared) > Number(bound) : Number.parseFloat(compared) >= Number(bound)
}

/** Measures all of it. */
export async function run({ quick }: RunOptions): Promise<Table> {
  const rows: (string | number)[][] = []
  for (const algorithm of ['RS256', 'ES256', 'EdDSA'] as const) rows.push(...(await uncached(algorithm, quick)))
  for (const count of quick ? [500] : [500, 10_000]) rows.push(...(await cached(count, quick)))
  return {
    title: 'JWT: verifying tokens',
    note:
      'Microseconds of processor time for one token, all threads together, median of interleaved rounds; spread is half the distance of the quartiles. Each use has a fresh string, and every library ' +
      'checks issuer, audience and expiry. "raw" is the signature alone: node:crypto with a bare key object and, for ES256, DER. Single-threaded rows are one token ' +
      'after another on the event loop; "32 at once" is on threads.',
    columns: ['what', 'by', 'µs', 'spread', 'compared', 'goal'],
    rows,
  }
}

if (import.meta.main) {
  const { columns, rows } = await run({ quick: process.argv.includes('--quick') })
  for (const row of [columns, ...rows])
    process.stdout.write(`${row.map((cell, at) => String(cell).padEnd([26, 26, 9, 8, 28, 16][at] ?? 8)).join('')}\n`)
}
