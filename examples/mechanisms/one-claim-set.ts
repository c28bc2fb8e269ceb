import { generateKeyPairSync } from 'node:crypto'
import { guard, scope } from '@portcullis/core'
import { jwt, selfSignedJwt } from '@portcullis/jwt'

/** One guard, and one set of claims that a client signs itself and that the guard admits, whatever the protocol. */
export function oneClaimSet() {
  const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
  const admins = guard({
    authenticate: jwt({ issuer: 'wso2', audience: 'ballerina', keys: { publicKey }, scopeClaim: 'scp' }),
    authorize: scope('admin'),
  })
  const signed = (origin: string, scp = 'admin') =>
    selfSignedJwt({
      issuer: 'wso2',
      subject: 'ballerina',
      audience: ['ballerina', 'ballerina.org', 'ballerina.io'],
      claims: { scp },
      key: { privateKey, keyId: 'ballerina' },
      targets: [origin],
    })
  return { admins, signed }
}
