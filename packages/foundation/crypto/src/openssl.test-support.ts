import { execFile } from 'node:child_process'
import { generateKeyPairSync } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect } from 'vitest'
import { CryptoError, type CryptoErrorCode } from './errors.ts'

/** A folder for the files of one test file, removed when its tests are over. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'portcullis-crypto-'))
  afterAll(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

/** Runs the `openssl` command, the foreign maker of these tests' keys and stores. */
export async function openssl(cwd: string, ...args: readonly string[]): Promise<Buffer> {
  return run('openssl', cwd, args)
}

/** Runs a command; a missing one fails the test with a sentence that says what to install. */
export async function run(command: string, cwd: string, args: readonly string[]): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const child = execFile(command, args, { cwd, encoding: 'buffer', timeout: 60_000 }, (error, stdout, stderr) => {
      if (error === null) resolve(stdout)
      else if (error.code === 'ENOENT') reject(new Error(`These tests need the command "${command}", which is not installed.`))
      else reject(new Error(`${command} ${args.join(' ')}: ${stderr.toString()} ${stdout.toString()}`, { cause: error }))
    })
    child.stdin?.end()
  })
}

/** Makes a certificate authority `ca` and a leaf `leaf` issued by it, with their keys, as PEM files. */
export async function makeChain(cwd: string, algorithm: readonly string[] = ['ec', '-pkeyopt', 'ec_paramgen_curve:P-256']): Promise<void> {
  const [type = 'rsa', ...options] = algorithm
  const key = ['-newkey', type, ...options, '-noenc']
  await openssl(cwd, 'req', '-x509', ...key, '-keyout', 'ca.key', '-out', 'ca.pem', '-subj', '/O=Example/CN=Example CA', '-days', '30')
  await openssl(
    cwd,
    'req',
    ...key,
    '-keyout',
    'leaf.key',
    '-out',
    'leaf.csr',
    '-subj',
    '/O=Example/CN=orders',
    '-addext',
    'subjectAltName=DNS:orders.example',
  )
  await openssl(
    cwd,
    'x509',
    '-req',
    '-in',
    'leaf.csr',
    '-CA',
    'ca.pem',
    '-CAkey',
    'ca.key',
    '-out',
    'leaf.pem',
    '-days',
    '20',
    '-copy_extensions',
    'copyall',
  )
}

/** Tells whether this runtime makes keys of a type that not every supported one has. */
export function runtimeHas(type: 'ml-dsa-44' | 'ml-kem-768'): boolean {
  try {
    return generateKeyPairSync(type as 'ml-dsa-44').publicKey.type === 'public'
  } catch {
    return false
  }
}

/** Expects a `CryptoError` with this code and hands it out; anything else fails. */
export async function refusal(code: CryptoErrorCode, work: () => unknown): Promise<CryptoError> {
  let error: unknown
  try {
    await work()
  } catch (thrown) {
    error = thrown
  }
  expect(error).toBeInstanceOf(CryptoError)
  expect((error as CryptoError).code).toBe(code)
  return error as CryptoError
}

/** Encodes a DER value of its parts. */
export function der(tag: number, ...parts: readonly (Uint8Array | number[])[]): Buffer {
  const content = Buffer.concat(parts.map((part) => Buffer.from(part)))
  const hex = content.length.toString(16)
  const bytes = Buffer.from(hex.length % 2 === 0 ? hex : `0${hex}`, 'hex')
  return Buffer.concat([Buffer.from(content.length < 0x80 ? [tag, content.length] : [tag, 0x80 | bytes.length, ...bytes]), content])
}
