import { createPublicKey, sign, verify, type KeyObject } from 'node:crypto'
import { CryptoError } from './errors.ts'
import { checkOptions } from './options.ts'

/** Which keys are taken beyond the ones that everything here can use. */
export interface KeyOptions {
  /** Curves taken beside P-256, P-384 and P-521, for peers that ask for them. Default: none. */
  readonly alsoCurves?: readonly 'secp256k1'[] | undefined
}

// NIST SP 800-131A revision 2 section 3: nothing shorter is allowed for signing. The upper bound caps the work of one operation.
const minRsaBits = 2048
const maxRsaBits = 16_384
// FIPS 186-5 section 5.1: an odd exponent greater than 2^16, less than 2^256.
const minRsaExponent = 65_537n
const maxRsaExponent = 2n ** 256n - 1n

const curves: ReadonlySet<unknown> = new Set(['prime256v1', 'secp384r1', 'secp521r1'])

const otherTypes: ReadonlySet<unknown> = new Set(['ed25519', 'ed448', 'x25519', 'x448', 'ml-dsa-44', 'ml-dsa-65', 'ml-dsa-87'])

/**
 * Refuses an asymmetric key that is weak or of a type that nothing here uses: RSA from 2,048 bits with an odd exponent
 * of at least 65,537, the curves P-256, P-384 and P-521, Ed25519, Ed448, X25519, X448 and ML-DSA pass. Returns the key.
 * Throws `ERR_CRYPTO_KEY_WEAK` or `ERR_CRYPTO_KEY_UNSUPPORTED`.
 */
export function checkKey(key: KeyObject, options: KeyOptions = {}): KeyObject {
  checkOptions('The key options', options, { alsoCurves: true })
  const type = key.asymmetricKeyType
  if (type === 'rsa' || type === 'rsa-pss') checkRsa(key.asymmetricKeyDetails?.modulusLength, key.asymmetricKeyDetails?.publicExponent)
  else if (type === 'ec') checkCurve(key.asymmetricKeyDetails?.namedCurve, options)
  else if (!otherTypes.has(type))
    throw new CryptoError('ERR_CRYPTO_KEY_UNSUPPORTED', `Keys of type ${type ?? 'unknown'} are not supported.`)
  return key
}

function checkRsa(bits = 0, exponent = 0n): void {
  if (bits < minRsaBits)
    throw new CryptoError('ERR_CRYPTO_KEY_WEAK', `An RSA key needs at least ${minRsaBits} bits, and this one has ${bits}.`)
  if (bits > maxRsaBits) throw new CryptoError('ERR_CRYPTO_KEY_UNSUPPORTED', `RSA keys of more than ${maxRsaBits} bits are not supported.`)
  if (exponent < minRsaExponent || exponent > maxRsaExponent || exponent % 2n === 0n) {
    throw new CryptoError('ERR_CRYPTO_KEY_WEAK', 'The public exponent of an RSA key must be odd and at least 65537.')
  }
}

function checkCurve(curve: string | undefined, { alsoCurves = [] }: KeyOptions): void {
  if (curves.has(curve) || alsoCurves.some((also) => also === 'secp256k1' && also === curve)) return
  throw new CryptoError('ERR_CRYPTO_KEY_UNSUPPORTED', `The curve ${curve ?? 'of explicit parameters'} is not supported.`)
}

const agreementOnly: ReadonlySet<unknown> = new Set(['x25519', 'x448'])

/**
 * Refuses a private key whose public part belongs to another key, or whose parts are damaged: using one can reveal it.
 * Costs one signature and one verification, so it is done when a key is loaded. Returns the key.
 */
export function checkPair(privateKey: KeyObject): KeyObject {
  if (agreementOnly.has(privateKey.asymmetricKeyType)) return privateKey
  const probe = Buffer.from('portcullis key check')
  const hash = privateKey.asymmetricKeyType === 'rsa' || privateKey.asymmetricKeyType === 'ec' ? 'sha256' : undefined
  let consistent = false
  let cause: unknown
  try {
    consistent = verify(hash, probe, createPublicKey(privateKey), sign(hash, probe, privateKey))
  } catch (error) {
    cause = error
  }
  if (!consistent) throw new CryptoError('ERR_CRYPTO_KEY_INCONSISTENT', 'The parts of the private key do not belong together.', { cause })
  return privateKey
}
