import { generateKeyPairSync } from 'node:crypto'
import {
  digest,
  equalConstantTime,
  hashPassword,
  hkdf,
  hmac,
  needsRehash,
  open,
  randomBytes,
  seal,
  sign,
  verify,
  verifyHmac,
  verifyPassword,
} from '@portcullis/crypto'
import { show } from '../../show.ts'

const text = 'Hello, Portcullis'
show('SHA-256', digest('sha256', text, 'hex').length, 64)

const key = randomBytes(32)
show('an HMAC verifies', verifyHmac('sha256', key, text, hmac('sha256', key, text)), true)
show('an HMAC of something else does not', verifyHmac('sha256', key, 'Hello', hmac('sha256', key, text)), false)

const sealed = seal(key, text)
show('what was sealed opens', open(key, sealed).toString(), text)
const tampered = Buffer.from(sealed)
tampered[tampered.length - 1] = (tampered.at(-1) ?? 0) ^ 1
const refusal = (): unknown => {
  try {
    return open(key, tampered)
  } catch (error) {
    return (error as { code: string }).code
  }
}
show('what was changed does not', refusal(), 'ERR_CRYPTO_DECRYPTION_FAILED')

const { privateKey, publicKey } = generateKeyPairSync('ed25519')
const signature = sign('EdDSA', privateKey, text)
show('a signature verifies', verify('EdDSA', publicKey, text, signature), true)
show('a signature of something else does not', verify('EdDSA', publicKey, 'Hello', signature), false)

const stored = await hashPassword('correct horse')
show('the password matches', await verifyPassword('correct horse', stored), true)
show('another does not', await verifyPassword('battery staple', stored), false)
show(
  'an older hash is to be made anew',
  needsRehash('$pbkdf2-sha256$i=10000$c2FsdHNhbHRzYWx0c2FsdA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA'),
  true,
)

show(
  'two purposes, two keys',
  equalConstantTime(hkdf('sha256', { secret: key, length: 32, info: 'one' }), hkdf('sha256', { secret: key, length: 32, info: 'two' })),
  false,
)
