import { createIssuer, type Algorithm, type SigningKey } from '@portcullis/jwt'
import { command } from '../command.ts'
import { usageError } from '../mistake.ts'
import { objectOf, sharedSecret, signingKey } from '../key-file.ts'
import { print } from '../terminal.ts'

/** `portcullis jwt issue` */
export const jwtIssue = command({
  name: 'jwt issue',
  summary: 'Issues a token.',
  details: 'It has exp, nbf, iat and jti besides what the options say.',
  options: {
    key: { type: 'string', value: 'FILE', help: 'The private key: PEM, JWK, or PKCS#12 (.p12, .pfx).' },
    'password-file': { type: 'string', value: 'FILE', help: 'The password of an encrypted key; asked for without it.' },
    'secret-file': { type: 'string', value: 'FILE', help: 'In place of --key: a secret shared with whoever verifies; - asks for it.' },
    alg: { type: 'string', value: 'NAME', help: 'Default: that of the key, RS256 for RSA, HS256 for a secret.' },
    kid: { type: 'string', value: 'TEXT', help: 'The identifier of the key, for the header.' },
    issuer: { type: 'string', value: 'TEXT', help: 'Required: who issues it.' },
    subject: { type: 'string', value: 'TEXT', help: 'Whom it speaks of.' },
    audience: { type: 'string', value: 'TEXT', multiple: true, help: 'Whom it is meant for.' },
    scope: { type: 'string', value: 'TEXT', help: 'The scopes, with spaces between them.' },
    claim: { type: 'string', value: 'NAME=TEXT', multiple: true, help: 'A further claim, as text.' },
    'claims-file': { type: 'string', value: 'FILE', help: 'Further claims of any type, as a JSON object.' },
    'expires-in': { type: 'string', value: 'SECONDS', help: 'How long it is valid. Default: 300.' },
    typ: { type: 'string', value: 'TEXT', help: 'The type in the header, such as at+jwt. Default: JWT.' },
  },
  async run(values, _argument, terminal) {
    const { issuer, subject, audience, scope, typ, kid, alg, key, json } = values
    const { 'secret-file': secretFile, 'password-file': passwordFile, 'expires-in': seconds, 'claims-file': claimsFile } = values
    if (issuer === undefined) throw usageError('--issuer is required.')
    if ((key === undefined) === (secretFile === undefined)) throw usageError('One of --key and --secret-file is required, and only one.')
    if (passwordFile !== undefined && key === undefined) throw usageError('--password-file goes with --key.')
    if (seconds !== undefined && !/^[1-9]\d*$/.test(seconds)) throw usageError('--expires-in is a number of seconds, from 1.')
    const settings = { ...(alg !== undefined && { algorithm: alg as Algorithm }), ...(kid !== undefined && { keyId: kid }) } // jwt knows the names
    const signing: SigningKey =
      key === undefined
        ? { secret: await sharedSecret(secretFile ?? '-', terminal), ...settings }
        : { privateKey: await signingKey(key, passwordFile, terminal), ...settings }
    const issuing = createIssuer({ issuer, key: signing, ...(typ !== undefined && { typ }) })
    const { token, expiresAt } = await issuing.issueWithExpiry({
      claims: {
        ...(claimsFile !== undefined && (await objectOf(claimsFile))),
        ...claimsOf(values.claim ?? []),
        ...(scope !== undefined && { scope }),
      },
      ...(subject !== undefined && { subject }),
      ...(audience !== undefined && { audience: audience.length === 1 ? audience[0] : audience }),
      ...(seconds !== undefined && { expiresInSeconds: Number(seconds) }),
    })
    await print(terminal, json, { token, expiresAt: expiresAt.toISOString() }, token)
    return 0
  },
})

function claimsOf(pairs: readonly string[]): Readonly<Record<string, string>> {
  return Object.fromEntries(
    pairs.map((pair) => {
      const at = pair.indexOf('=')
      if (at < 1) throw usageError('--claim is a name, an equals sign, and a text.')
      return [pair.slice(0, at), pair.slice(at + 1)]
    }),
  )
}
