/**
 * The cryptography that the rest of Portcullis stands on, one verb a file: keys and certificates from every form that
 * they come in, digests, HMAC, signatures, AES-GCM, HKDF, password hashing, constant-time equality, randomness.
 *
 * It decides what is sound (key strengths, algorithm bound to key, bounded work) and leaves the arithmetic to
 * `node:crypto`. Not for it: verifying certificate chains (`@portcullis/tls`), tokens (`@portcullis/jwt`), or building
 * protocols of your own out of primitives, which is nobody's first choice.
 */
export { CryptoError, cryptoErrorCodes } from './errors.ts'
export type { CryptoErrorCode, CryptoErrorFamily, CryptoErrorInit } from './errors.ts'
export type { SecretText } from './secret-text.ts'
export { fromBase64url } from './bytes.ts'
export type { TextOrBytes } from './bytes.ts'

export { loadPrivateKey, parsePrivateKey } from './private-key.ts'
export { loadPublicKey, parsePublicKey } from './public-key.ts'
export { loadSecretKey, parseSecretKey } from './secret-key.ts'
export { loadCertificates, loadTrustAnchors } from './load-certificates.ts'
export { loadKeyPair } from './load-key-pair.ts'
export type { KeyPair } from './load-key-pair.ts'
export { checkKey } from './key-check.ts'
export type { KeyOptions } from './key-check.ts'
export type {
  CertificateSource,
  DerFileSource,
  DerSource,
  InlineCertificateSource,
  InlinePrivateKeySource,
  InlinePublicKeySource,
  InlineSecretKeySource,
  JwkSource,
  KeyPairSource,
  KeyPassword,
  PemFileSource,
  PemSource,
  Pkcs12FileSource,
  Pkcs12Source,
  PrivateKeySource,
  PublicKeySource,
  SecretKeySource,
  StorePassword,
} from './key-source.ts'

export { keyUsages, parseCertificate, parseCertificates } from './certificate.ts'
export type { Certificate, SubjectAltNames } from './certificate.ts'
export { formatName, nameValues } from './distinguished-name.ts'
export type { DistinguishedName, NameAttribute } from './distinguished-name.ts'
export { certificateThumbprint, jwkThumbprint } from './thumbprint.ts'
export { publicJwk } from './jwk.ts'

export { digest, digestLength } from './digest.ts'
export type { DigestAlgorithm, DigestEncoding } from './digest.ts'
export { hmac, verifyHmac } from './hmac.ts'
export { equalConstantTime } from './constant-time.ts'
export { randomBytes, randomId } from './random.ts'
export { hkdf } from './hkdf.ts'
export type { HkdfOptions } from './hkdf.ts'
export { open, seal } from './aead.ts'
export type { AeadOptions } from './aead.ts'

export { sign, signer } from './sign.ts'
export type { SignatureOptions, Signer } from './sign.ts'
export { verifier, verify } from './verify.ts'
export type { Verifier } from './verify.ts'
export { signatureAlgorithms, signatureAlgorithmsOf } from './signature-algorithm.ts'
export type { SignatureAlgorithm } from './signature-algorithm.ts'

export { hashPassword, verifyPassword } from './password.ts'
export type { HashPasswordOptions, VerifyPasswordOptions } from './password.ts'
export { decoyPasswordHash, parsePasswordHash } from './password-hash.ts'
export type { PasswordHash } from './password-hash.ts'
export { defaultPasswordPolicy, needsRehash } from './password-policy.ts'
export type { Argon2idPolicy, PasswordPolicy, ScryptPolicy } from './password-policy.ts'
export { hashingLimiter, sharedHashingLimiter } from './hashing-limiter.ts'
export type { HashingLimiter, HashingLimiterOptions, HashingRequest } from './hashing-limiter.ts'
export { decryptLegacyValue, legacyForm } from './legacy-value.ts'
export type { LegacyRelease, LegacyValueOptions } from './legacy-value.ts'
