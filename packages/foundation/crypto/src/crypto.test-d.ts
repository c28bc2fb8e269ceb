import { createSecretKey, generateKeyPairSync } from 'node:crypto'
import { sha1 } from './danger.ts'
import { digest, hashPassword, hkdf, hmac, loadKeyPair, parsePrivateKey, sign, verifyPassword } from './index.ts'

const { privateKey } = generateKeyPairSync('ed25519')

// @ts-expect-error A broken digest is a symbol of `/danger`, never a name that could come from a file.
digest('sha1', 'x')
// @ts-expect-error Nothing derives keys with a broken digest.
hkdf(sha1, { secret: 'x', length: 32 })
// @ts-expect-error A misspelt option does not compile.
hkdf('sha256', { secret: 'x', lenght: 32 })
// @ts-expect-error There is no signature without an algorithm.
sign('none', privateKey, 'x')
// @ts-expect-error HMAC is no signature.
sign('HS256', privateKey, 'x')
// @ts-expect-error A key is one of the named forms; a bare text could be a path or a PEM.
parsePrivateKey('key.pem')
// @ts-expect-error A file cannot be read at once.
parsePrivateKey({ pemFile: 'key.pem' })
// @ts-expect-error A key pair is not only a key.
await loadKeyPair({ key: { pem: '' } })
// @ts-expect-error A password is text or a secret.
await hashPassword(1234)
// @ts-expect-error A store that verifies passwords says which value it verifies against.
await verifyPassword('x')
// @ts-expect-error PBKDF2 and bcrypt are only verified.
await hashPassword('x', { policy: { algorithm: 'bcrypt' } })

hmac(sha1, createSecretKey(Buffer.from('k')), 'x')
