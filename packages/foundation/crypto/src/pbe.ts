import { createDecipheriv, hash, pbkdf2, scrypt } from 'node:crypto'
import { setImmediate } from 'node:timers/promises'
import { promisify } from 'node:util'
import { DerError, readNumber, readOctets, readOid, readSequence, readValue, tags, type DerValue, type Rules } from './der.ts'
import { CryptoError } from './errors.ts'

/**
 * Password-based encryption as keys and stores use it: PBES2 (RFC 8018) and the schemes of PKCS#12 (RFC 7292
 * appendix B). Every iteration that a file demands is taken from a budget before any of it is done.
 */

// What Java allows a PKCS#12 store to demand. Common tools write 1 to 600,000.
const maxIterations = 5_000_000
// N * r blocks of 128 bytes: 256 MiB, sixteen times what openssl writes.
const maxScryptBlocks = 2 ** 21

/** What a file may still demand. */
export interface WorkBudget {
  iterations: number
}

export function workBudget(): WorkBudget {
  return { iterations: maxIterations }
}

interface Cipher {
  readonly name: 'aes-128-cbc' | 'aes-192-cbc' | 'aes-256-cbc' | 'des-ede3-cbc' | 'rc2'
  readonly keyBytes: number
  readonly ivBytes: number
}

interface Derivation {
  readonly kdf: 'pbkdf2' | 'pkcs12' | 'scrypt'
  readonly salt: Uint8Array
  /** Iterations; for scrypt its steps N, with r and p. */
  readonly iterations: number
  readonly blockSize: number
  readonly parallelism: number
  readonly hash: HashName
}

/** How something is encrypted under a password. */
export interface Pbe extends Derivation {
  readonly cipher: Cipher
  readonly iv: Uint8Array | undefined
}

export type HashName = 'sha1' | 'sha224' | 'sha256' | 'sha384' | 'sha512'

const pbes2 = '1.2.840.113549.1.5.13'
const pbkdf2Oid = '1.2.840.113549.1.5.12'
const scryptOid = '1.3.6.1.4.1.11591.4.11'

const ciphers: ReadonlyMap<string, Cipher> = new Map([
  ['2.16.840.1.101.3.4.1.2', { name: 'aes-128-cbc', keyBytes: 16, ivBytes: 16 }],
  ['2.16.840.1.101.3.4.1.22', { name: 'aes-192-cbc', keyBytes: 24, ivBytes: 16 }],
  ['2.16.840.1.101.3.4.1.42', { name: 'aes-256-cbc', keyBytes: 32, ivBytes: 16 }],
  ['1.2.840.113549.3.7', { name: 'des-ede3-cbc', keyBytes: 24, ivBytes: 8 }],
])

// RFC 7292 appendix C. The two RC4 schemes are left out: no tool of the last twenty years writes them.
const pkcs12Ciphers: ReadonlyMap<string, Cipher> = new Map([
  ['1.2.840.113549.1.12.1.3', { name: 'des-ede3-cbc', keyBytes: 24, ivBytes: 8 }],
  ['1.2.840.113549.1.12.1.4', { name: 'des-ede3-cbc', keyBytes: 16, ivBytes: 8 }],
  ['1.2.840.113549.1.12.1.5', { name: 'rc2', keyBytes: 16, ivBytes: 8 }],
  ['1.2.840.113549.1.12.1.6', { name: 'rc2', keyBytes: 5, ivBytes: 8 }],
])

const prfs: ReadonlyMap<string, HashName> = new Map([
  ['1.2.840.113549.2.7', 'sha1'],
  ['1.2.840.113549.2.8', 'sha224'],
  ['1.2.840.113549.2.9', 'sha256'],
  ['1.2.840.113549.2.10', 'sha384'],
  ['1.2.840.113549.2.11', 'sha512'],
])

/** Reads an AlgorithmIdentifier of password-based encryption. Throws `ERR_CRYPTO_PKCS12_UNSUPPORTED` for others. */
export function readPbe(algorithm: DerValue | undefined, rules: Rules): Pbe {
  const [type, parameters] = readSequence(algorithm, rules)
  const oid = readOid(type)
  if (oid === pbes2) {
    const [kdf, encryption] = readSequence(parameters, rules)
    const [cipherType, iv] = readSequence(encryption, rules)
    const cipher = ciphers.get(readOid(cipherType))
    if (cipher === undefined) throw unsupported('a cipher other than AES-CBC and 3DES')
    return { ...readKdf(kdf, rules), cipher, iv: readOctets(iv, rules) }
  }
  const cipher = pkcs12Ciphers.get(oid)
  if (cipher === undefined) throw unsupported(`the encryption ${oid}`)
  const [salt, iterations] = readSequence(parameters, rules)
  return {
    kdf: 'pkcs12',
    salt: readOctets(salt, rules),
    iterations: readNumber(iterations),
    blockSize: 1,
    parallelism: 1,
    hash: 'sha1',
    cipher,
    iv: undefined,
  }
}

/** Reads the key derivation of PBES2 or PBMAC1. */
export function readKdf(algorithm: DerValue | undefined, rules: Rules): Derivation {
  const [type, parameters] = readSequence(algorithm, rules)
  const oid = readOid(type)
  const [salt, ...rest] = readSequence(parameters, rules)
  if (oid === scryptOid) {
    const [cost, blockSize, parallelism] = rest
    return {
      kdf: 'scrypt',
      salt: readOctets(salt, rules),
      iterations: readNumber(cost),
      blockSize: readNumber(blockSize),
      parallelism: readNumber(parallelism),
      hash: 'sha256',
    }
  }
  if (oid !== pbkdf2Oid) throw unsupported(`the key derivation ${oid}`)
  const prf = rest.find(({ tag }) => tag === tags.sequence)
  const hashName = prf === undefined ? 'sha1' : readPrf(prf, rules)
  return { kdf: 'pbkdf2', salt: readOctets(salt, rules), iterations: readNumber(rest[0]), blockSize: 1, parallelism: 1, hash: hashName }
}

/** Reads the AlgorithmIdentifier of an HMAC. */
export function readPrf(algorithm: DerValue | undefined, rules: Rules): HashName {
  const oid = readOid(readSequence(algorithm, rules)[0])
  const name = prfs.get(oid)
  if (name === undefined) throw unsupported(`the HMAC ${oid}`)
  return name
}

/**
 * Refuses an encrypted private key that demands excessive work, before the runtime decrypts it.
 * Throws `ERR_CRYPTO_WORK_EXCESSIVE`, or `ERR_CRYPTO_KEY_UNSUPPORTED` for an encryption whose work it cannot read.
 */
export function checkPbeWork(encryptedPrivateKeyInfo: Uint8Array): void {
  let pbe: Pbe
  try {
    pbe = readPbe(readSequence(readValue(encryptedPrivateKeyInfo))[0], 'der')
  } catch (error) {
    if (error instanceof DerError || error instanceof CryptoError) {
      throw new CryptoError('ERR_CRYPTO_KEY_UNSUPPORTED', 'The private key is encrypted in a way that is not supported, or damaged.', {
        cause: error,
      })
    }
    throw error
  }
  if (pbe.cipher.name === 'rc2')
    throw new CryptoError('ERR_CRYPTO_KEY_UNSUPPORTED', 'The private key is encrypted with RC2; convert it to AES.')
  spend(pbe, workBudget())
}

/** Derives the key and decrypts; `undefined` if the padding shows that the key is wrong. */
export async function decryptPbe(pbe: Pbe, ciphertext: Uint8Array, password: string, budget: WorkBudget): Promise<Buffer | undefined> {
  const { cipher } = pbe
  const derived = await deriveKey(pbe, password, cipher.keyBytes, keyPurpose.encryption, budget)
  const iv = pbe.iv ?? (await deriveKey(pbe, password, cipher.ivBytes, keyPurpose.iv, budget))
  if (iv.length !== cipher.ivBytes) throw new DerError('An initialisation vector has a wrong length.')
  if (cipher.name === 'rc2') return decryptRc2(derived, iv, ciphertext)
  // Two-key 3DES uses its first key twice.
  const key = cipher.keyBytes === 16 && cipher.name === 'des-ede3-cbc' ? Buffer.concat([derived, derived.subarray(0, 8)]) : derived
  const decipher = createDecipheriv(cipher.name, key, iv)
  try {
    return Buffer.concat([decipher.update(ciphertext), decipher.final()])
  } catch {
    return undefined
  }
}

/** What a derived key is for (RFC 7292 appendix B.3). */
export const keyPurpose = { encryption: 1, iv: 2, mac: 3 } as const

const pbkdf2Async = promisify(pbkdf2)
const scryptAsync = promisify<string, Uint8Array, number, { N: number; r: number; p: number; maxmem: number }, Buffer>(scrypt)

/** Derives a key from the password as the file says. Throws `ERR_CRYPTO_WORK_EXCESSIVE`. */
export async function deriveKey(
  from: Derivation,
  password: string,
  length: number,
  purpose: 1 | 2 | 3,
  budget: WorkBudget,
): Promise<Buffer> {
  spend(from, budget)
  if (from.kdf === 'pkcs12') return pkcs12Kdf(from.hash, password, from.salt, from.iterations, length, purpose)
  if (from.kdf === 'pbkdf2') return pbkdf2Async(password, from.salt, from.iterations, length, from.hash)
  const { iterations: N, blockSize: r, parallelism: p } = from
  try {
    return await scryptAsync(password, from.salt, length, { N, r, p, maxmem: 129 * N * r + 256 * r * p })
  } catch (cause) {
    throw new CryptoError('ERR_CRYPTO_PKCS12_UNSUPPORTED', 'The scrypt parameters are not sound.', { cause })
  }
}

function spend({ kdf, iterations, blockSize, parallelism }: Derivation, budget: WorkBudget): void {
  const isScrypt = kdf === 'scrypt'
  // A step of scrypt takes about as long as two iterations of the others.
  const cost = isScrypt ? 2 * iterations * blockSize * parallelism : iterations
  if (cost > budget.iterations || (isScrypt && iterations * blockSize > maxScryptBlocks)) {
    throw new CryptoError('ERR_CRYPTO_WORK_EXCESSIVE', 'The file demands more key derivation than allowed.')
  }
  if (cost < 1) throw new DerError('A cost of key derivation is zero.')
  budget.iterations -= cost
}

// How many iterations are done before others get their turn: about two milliseconds.
const slice = 2048

/** The key derivation of RFC 7292 appendix B.2. The password is UTF-16 with a NUL at its end, as B.1 says. */
async function pkcs12Kdf(
  name: HashName,
  password: string,
  salt: Uint8Array,
  iterations: number,
  length: number,
  purpose: number,
): Promise<Buffer> {
  const blockBytes = name === 'sha384' || name === 'sha512' ? 128 : 64
  const passwordBytes = Buffer.from(`${password}\0`, 'utf16le').swap16()
  const input = Buffer.concat([repeat(salt, blockBytes), repeat(passwordBytes, blockBytes)])
  const output: Buffer[] = []
  for (let produced = 0; produced < length;) {
    const digested = hash(name, Buffer.concat([Buffer.alloc(blockBytes, purpose), input]), 'buffer')
    for (let i = 1; i < iterations; i++) {
      // The runtime hands out text (`binary` is Latin-1) in less than half the time that it takes for bytes.
      digested.write(hash(name, digested, 'binary'), 'latin1')
      if (i % slice === 0) await setImmediate()
    }
    output.push(digested)
    produced += digested.length
    const addend = repeat(digested, blockBytes).subarray(0, blockBytes)
    for (let at = 0; at < input.length; at += blockBytes) add(input.subarray(at, at + blockBytes), addend)
  }
  return Buffer.concat(output).subarray(0, length)
}

/** The bytes repeated until they fill whole blocks. */
function repeat(bytes: Uint8Array, blockBytes: number): Buffer {
  return Buffer.alloc(Math.ceil(bytes.length / blockBytes) * blockBytes, bytes)
}

/** Adds `addend` and one to a block, as big-endian numbers, modulo the block's size. */
function add(block: Uint8Array, addend: Uint8Array): void {
  let carry = 1
  for (let i = block.length - 1; i >= 0; i--) {
    carry += (block[i] ?? 0) + (addend[i] ?? 0)
    block[i] = carry & 0xff
    carry >>= 8
  }
}

/** RC2 is in no current OpenSSL by default; its library is loaded by those alone who have such a store. */
async function decryptRc2(key: Buffer, iv: Uint8Array, ciphertext: Uint8Array): Promise<Buffer | undefined> {
  const { default: forge } = await import('node-forge')
  const cipher = forge.rc2.createDecryptionCipher(key.toString('latin1'), key.length * 8)
  cipher.start(Buffer.from(iv).toString('latin1'))
  cipher.update(forge.util.createBuffer(Buffer.from(ciphertext).toString('latin1')))
  return cipher.finish() ? Buffer.from(cipher.output.getBytes(), 'latin1') : undefined
}

function unsupported(what: string): CryptoError {
  return new CryptoError('ERR_CRYPTO_PKCS12_UNSUPPORTED', `The file uses ${what}, which is not supported.`)
}
