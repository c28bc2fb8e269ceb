import { createHmac, createPrivateKey, timingSafeEqual, type KeyObject } from 'node:crypto'
import { parseCertificate, type Certificate } from './certificate.ts'
import { DerError, expectTag, readChildren, readNumber, readOctets, readOid, readSequence, readValue, tags, type DerValue } from './der.ts'
import { decodeText } from './der-text.ts'
import { CryptoError } from './errors.ts'
import { readSourceFile, maxSourceBytes, type Pkcs12FileSource, type Pkcs12Source } from './key-source.ts'
import { invalid } from './options.ts'
import { decryptPbe, deriveKey, keyPurpose, readKdf, readPbe, readPrf, workBudget, type HashName, type WorkBudget } from './pbe.ts'
import { revealText } from './secret-text.ts'

/** What a PKCS#12 store (RFC 7292) holds. */
export interface Pkcs12 {
  readonly keys: readonly Pkcs12Key[]
  readonly certificates: readonly Pkcs12Certificate[]
}

export interface Pkcs12Key extends EntryNames {
  readonly key: KeyObject
  /** The certificate of this key, if the store has it. */
  readonly certificate: Pkcs12Certificate | undefined
}

export interface Pkcs12Certificate extends EntryNames {
  readonly certificate: Certificate
}

interface EntryNames {
  readonly alias: string | undefined
  readonly localKeyId: string | undefined
}

// Stores of other makers are BER; what they hold is DER.
const rules = 'ber'
// Bags may hold bags; nobody nests them more than once.
const maxBagDepth = 4

const contentTypes = { data: '1.2.840.113549.1.7.1', encryptedData: '1.2.840.113549.1.7.6' }
const bagTypes = {
  key: '1.2.840.113549.1.12.10.1.1',
  shroudedKey: '1.2.840.113549.1.12.10.1.2',
  certificate: '1.2.840.113549.1.12.10.1.3',
  safeContents: '1.2.840.113549.1.12.10.1.6',
}
const x509Certificate = '1.2.840.113549.1.9.22.1'
const attributeTypes = { friendlyName: '1.2.840.113549.1.9.20', localKeyId: '1.2.840.113549.1.9.21' }
const pbmac1 = '1.2.840.113549.1.5.14'
const contextTag = 0xa0

const macHashes: ReadonlyMap<string, HashName> = new Map([
  ['1.3.14.3.2.26', 'sha1'],
  ['2.16.840.1.101.3.4.2.4', 'sha224'],
  ['2.16.840.1.101.3.4.2.1', 'sha256'],
  ['2.16.840.1.101.3.4.2.2', 'sha384'],
  ['2.16.840.1.101.3.4.2.3', 'sha512'],
])

/**
 * Opens a PKCS#12 store: modern ones (PBES2, also PBMAC1 of RFC 9579), legacy ones (3DES, RC2), stores with
 * certificates only, and those without a password that hold nothing secret. Its integrity is verified before anything
 * in it is decoded. Throws `ERR_CRYPTO_PKCS12_*`, `ERR_CRYPTO_PASSWORD_*`, `ERR_CRYPTO_WORK_EXCESSIVE`.
 */
export async function openPkcs12(source: Pkcs12Source | Pkcs12FileSource): Promise<Pkcs12> {
  const store = 'pkcs12File' in source ? await readSourceFile(source.pkcs12File) : source.pkcs12
  if (!(store instanceof Uint8Array)) throw invalid('A PKCS#12 source is bytes.')
  if (store.length > maxSourceBytes)
    throw new CryptoError('ERR_CRYPTO_INPUT_TOO_LARGE', `A PKCS#12 store is larger than ${maxSourceBytes} bytes.`)
  if (source.alias === '') throw invalid('The alias of a PKCS#12 store must not be empty.')
  const password = source.password === undefined ? undefined : revealText('The password of a PKCS#12 store', source.password)
  try {
    return await readStore(store, password)
  } catch (error) {
    if (error instanceof DerError)
      throw new CryptoError('ERR_CRYPTO_PKCS12_MALFORMED', 'The PKCS#12 store cannot be decoded.', { cause: error })
    throw error
  }
}

/** The key with this alias, or the only one. Throws `ERR_CRYPTO_KEY_MISSING`, `_KEY_AMBIGUOUS` or `ERR_CRYPTO_ALIAS_UNKNOWN`. */
export function chooseKey({ keys }: Pkcs12, alias: string | undefined): Pkcs12Key {
  if (keys.length === 0) throw new CryptoError('ERR_CRYPTO_KEY_MISSING', 'The PKCS#12 store holds no private key.')
  return choose(keys, alias, 'private keys', (entry) => [entry.alias, entry.certificate?.alias])
}

/** The certificate with this alias, that of the only key, or the only one. */
export function chooseCertificate({ keys, certificates }: Pkcs12, alias: string | undefined): Certificate['x509'] {
  if (certificates.length === 0) throw new CryptoError('ERR_CRYPTO_CERTIFICATE_MISSING', 'The PKCS#12 store holds no certificate.')
  const ofOnlyKey = alias === undefined && keys.length === 1 ? keys[0]?.certificate : undefined
  return (ofOnlyKey ?? choose(certificates, alias, 'certificates', (entry) => [entry.alias])).certificate.x509
}

/** The entries with this alias; at least one. */
export function withAlias<Entry extends EntryNames>(entries: readonly Entry[], alias: string): Entry[] {
  const found = entries.filter((entry) => entry.alias === alias)
  if (found.length === 0)
    throw unknownAlias(
      alias,
      entries.map((entry) => entry.alias),
    )
  return found
}

function choose<Entry>(
  entries: readonly Entry[],
  alias: string | undefined,
  what: string,
  aliases: (entry: Entry) => (string | undefined)[],
): Entry {
  const found = alias === undefined ? entries : entries.filter((entry) => aliases(entry).includes(alias))
  const [entry] = found
  if (entry === undefined) throw unknownAlias(alias ?? '', entries.flatMap(aliases))
  if (found.length > 1) {
    throw new CryptoError(
      'ERR_CRYPTO_KEY_AMBIGUOUS',
      `The PKCS#12 store holds several ${what}; choose one by its alias: ${list(entries.flatMap(aliases))}.`,
    )
  }
  return entry
}

function unknownAlias(alias: string, present: readonly (string | undefined)[]): CryptoError {
  return new CryptoError('ERR_CRYPTO_ALIAS_UNKNOWN', `The PKCS#12 store has no entry "${alias}". It has: ${list(present)}.`)
}

function list(aliases: readonly (string | undefined)[]): string {
  return [...new Set(aliases)].map((alias) => (alias === undefined ? '(unnamed)' : JSON.stringify(alias))).join(', ')
}

async function readStore(store: Uint8Array, password: string | undefined): Promise<Pkcs12> {
  const budget = workBudget()
  const [version, authSafe, macData, ...rest] = readSequence(readValue(store, rules), rules)
  if (readNumber(version) !== 3 || rest.length > 0) throw new DerError('Not a PFX of version 3.')
  const content = readData(authSafe)
  if (macData === undefined && password !== undefined) {
    throw new CryptoError(
      'ERR_CRYPTO_PASSWORD_UNUSED',
      'A password was given, and the PKCS#12 store has no integrity check that it would verify.',
    )
  }
  if (macData !== undefined) {
    if (password === undefined)
      throw new CryptoError('ERR_CRYPTO_PASSWORD_REQUIRED', 'The PKCS#12 store is protected, and no password was given.')
    if (!(await verifyMac(macData, content, password, budget))) {
      throw new CryptoError(
        'ERR_CRYPTO_PASSWORD_WRONG',
        'The PKCS#12 store cannot be verified: the password is wrong, or the content damaged.',
      )
    }
  }
  const reader: Reader = { password, budget, keys: [], certificates: [] }
  for (const info of readSequence(readValue(content, rules), rules)) await readBags(await readContent(info, reader), reader, 0)
  const { certificates } = reader
  return { certificates, keys: reader.keys.map((key) => ({ ...key, certificate: certificateOf(key, certificates) })) }
}

function certificateOf(
  { key, localKeyId }: Omit<Pkcs12Key, 'certificate'>,
  certificates: readonly Pkcs12Certificate[],
): Pkcs12Certificate | undefined {
  const matching = certificates.filter(({ certificate }) => certificate.x509.checkPrivateKey(key))
  return matching.find((one) => one.localKeyId === localKeyId) ?? matching[0]
}

interface Reader {
  readonly password: string | undefined
  readonly budget: WorkBudget
  readonly keys: Omit<Pkcs12Key, 'certificate'>[]
  readonly certificates: Pkcs12Certificate[]
}

async function verifyMac(macData: DerValue, content: Uint8Array, password: string, budget: WorkBudget): Promise<boolean> {
  const [digestInfo, salt, iterations] = readSequence(macData, rules)
  const [algorithm, expected] = readSequence(digestInfo, rules)
  const [type, parameters] = readSequence(algorithm, rules)
  const oid = readOid(type)
  const tag = readOctets(expected, rules)
  if (oid === pbmac1) {
    const [kdf, mac] = readSequence(parameters, rules)
    const derivation = readKdf(kdf, rules)
    const name = readPrf(mac, rules)
    // RFC 9579 section 6: the key length must be written out.
    const length = readNumber(readSequence(readSequence(kdf, rules)[1], rules)[2])
    if (length < 20 || length > 64) throw new DerError('A MAC key has an unsound length.')
    return equal(
      createHmac(name, await deriveKey(derivation, password, length, keyPurpose.mac, budget))
        .update(content)
        .digest(),
      tag,
    )
  }
  const name = macHashes.get(oid)
  if (name === undefined)
    throw new CryptoError('ERR_CRYPTO_PKCS12_UNSUPPORTED', `The PKCS#12 store has an integrity check with the hash ${oid}.`)
  const derivation = {
    kdf: 'pkcs12',
    salt: readOctets(salt, rules),
    iterations: iterations === undefined ? 1 : readNumber(iterations),
    blockSize: 1,
    parallelism: 1,
    hash: name,
  } as const
  const key = await deriveKey(derivation, password, tag.length, keyPurpose.mac, budget)
  return equal(createHmac(name, key).update(content).digest(), tag)
}

function equal(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && timingSafeEqual(a, b)
}

/** The octets of a ContentInfo of type data. */
function readData(info: DerValue | undefined): Uint8Array {
  const [type, content] = readSequence(info, rules)
  const oid = readOid(type)
  if (oid !== contentTypes.data) throw new CryptoError('ERR_CRYPTO_PKCS12_UNSUPPORTED', `The PKCS#12 store holds content of type ${oid}.`)
  return readOctets(unwrap(content), rules)
}

async function readContent(info: DerValue, reader: Reader): Promise<Uint8Array> {
  const [type, content] = readSequence(info, rules)
  if (readOid(type) !== contentTypes.encryptedData) return readData(info)
  const [, encrypted] = readSequence(unwrap(content), rules)
  const [, algorithm, ciphertext] = readSequence(encrypted, rules)
  const implicitOctets = 0x80
  return decrypt(algorithm, readOctets(ciphertext, rules, implicitOctets), reader)
}

async function decrypt(algorithm: DerValue | undefined, ciphertext: Uint8Array, { password, budget }: Reader): Promise<Buffer> {
  // Without a password there was no integrity check, and what nobody vouches for is not decrypted.
  if (password === undefined)
    throw new CryptoError('ERR_CRYPTO_PKCS12_UNSUPPORTED', 'The PKCS#12 store is encrypted, and has no integrity check.')
  const plaintext = await decryptPbe(readPbe(algorithm, rules), ciphertext, password, budget)
  if (plaintext === undefined) {
    throw new CryptoError(
      'ERR_CRYPTO_PASSWORD_WRONG',
      'An entry of the PKCS#12 store cannot be decrypted: it has another password than the store, or is damaged.',
    )
  }
  return plaintext
}

async function readBags(safeContents: Uint8Array, reader: Reader, depth: number): Promise<void> {
  if (depth > maxBagDepth) throw new DerError('Bags nest too deeply.')
  for (const bag of readSequence(readValue(safeContents, rules), rules)) {
    const [type, wrapped, attributes] = readSequence(bag, rules)
    const oid = readOid(type)
    const value = unwrap(wrapped)
    const names = readNames(attributes)
    if (oid === bagTypes.certificate) readCertificate(value, names, reader)
    else if (oid === bagTypes.key) reader.keys.push({ ...names, key: decodeKey(value.bytes) })
    else if (oid === bagTypes.safeContents) await readBags(value.bytes, reader, depth + 1)
    else if (oid === bagTypes.shroudedKey) {
      const [algorithm, ciphertext] = readSequence(value, rules)
      reader.keys.push({ ...names, key: decodeKey(await decrypt(algorithm, readOctets(ciphertext, rules), reader)) })
    }
    // Revocation lists and secrets of other applications are no business of ours.
  }
}

function readCertificate(value: DerValue, names: EntryNames, reader: Reader): void {
  const [type, wrapped] = readSequence(value, rules)
  if (readOid(type) !== x509Certificate) return
  reader.certificates.push({ ...names, certificate: parseCertificate(readOctets(unwrap(wrapped), rules)) })
}

function decodeKey(pkcs8: Uint8Array): KeyObject {
  try {
    return createPrivateKey({ key: Buffer.from(pkcs8), format: 'der', type: 'pkcs8' })
  } catch (cause) {
    throw new CryptoError('ERR_CRYPTO_KEY_MALFORMED', 'A private key of the PKCS#12 store cannot be decoded.', { cause })
  }
}

function readNames(attributes: DerValue | undefined): EntryNames {
  let alias: string | undefined
  let localKeyId: string | undefined
  for (const attribute of attributes === undefined ? [] : readChildren(expectTag(attributes, tags.set), rules)) {
    const [type, values] = readSequence(attribute, rules)
    const [value] = readChildren(expectTag(values, tags.set), rules)
    const oid = readOid(type)
    if (oid === attributeTypes.friendlyName && value !== undefined) alias = decodeText(value)
    if (oid === attributeTypes.localKeyId) localKeyId = Buffer.from(readOctets(value, rules)).toString('hex')
  }
  return { alias, localKeyId }
}

/** The one value inside an explicit [0]. */
function unwrap(value: DerValue | undefined): DerValue {
  const [inner, ...rest] = readChildren(expectTag(value, contextTag), rules)
  if (inner === undefined || rest.length > 0) throw new DerError('An explicit tag does not hold exactly one value.')
  return inner
}
