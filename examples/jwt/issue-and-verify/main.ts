import { generateKeyPairSync } from 'node:crypto'
import { secret } from '@portcullis/core'
import { createVerifier, decodeUnverified, issue, verify, type VerifierOptions } from '@portcullis/jwt'
import { show } from '../../show.ts'

const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
const token = await issue({
  issuer: 'wso2',
  subject: 'admin',
  audience: ['ballerina', 'ballerina.org', 'ballerina.io'],
  claims: { scp: 'admin' },
  expiresInSeconds: 3_600,
  key: { privateKey, keyId: '5a0b754' },
})
show('the header says how it was signed', decodeUnverified(token).header.alg, 'RS256')

const options: VerifierOptions = { issuer: 'wso2', audience: 'ballerina', keys: { publicKey, keyId: '5a0b754' }, claims: { scp: 'admin' } }
show('it verifies', (await verify(token, options)).claims['sub'], 'admin')

const code = async (changed: VerifierOptions, text = token): Promise<unknown> => {
  const result = await createVerifier(changed).verify(text)
  return 'refused' in result ? result.refused : 'verified'
}
show('for somebody else', await code({ ...options, audience: 'billing' }), 'ERR_JWT_AUDIENCE_UNEXPECTED')
show('of another issuer', await code({ ...options, issuer: 'elsewhere' }), 'ERR_JWT_ISSUER_UNKNOWN')
show('with another claim', await code({ ...options, claims: { scp: 'user' } }), 'ERR_JWT_CLAIM_UNEXPECTED')
show(
  'by another key',
  await code({
    ...options,
    keys: { publicKey: generateKeyPairSync('rsa', { modulusLength: 2048 }).publicKey, keyId: '5a0b754' },
  }),
  'ERR_JWT_SIGNATURE_INVALID',
)

const shared = secret('a secret that is as long as its hash demands')
const symmetric = await issue({ issuer: 'wso2', subject: 'admin', audience: 'ballerina', key: { secret: shared } })
show('by a shared secret', await code({ issuer: 'wso2', audience: 'ballerina', keys: { secret: shared } }, symmetric), 'verified')
show('a token of a secret, where a key pair is expected', await code(options, symmetric), 'ERR_JWT_ALGORITHM_NOT_ALLOWED')
