import { AuthenticationError, isSecurityError } from '@portcullis/core'
import { createVerifier, jwtErrorCodes, maxTokenLength, type Algorithm, type JwtClaims, type KeysOption } from '@portcullis/jwt'
import { command, type ExitCode } from '../command.ts'
import { usageError } from '../mistake.ts'
import { sharedSecret, verificationKeys } from '../key-file.ts'
import { linesOf, print, writeLine, type Terminal } from '../terminal.ts'

interface KeyValues {
  readonly jwks?: string
  readonly ca?: string
  readonly key?: string
  readonly 'secret-file'?: string
  readonly alg?: readonly [string, ...string[]]
}

/** `portcullis jwt verify` */
export const jwtVerify = command({
  name: 'jwt verify',
  summary: 'Verifies tokens, and prints their claims.',
  argument: 'TOKEN',
  details: `The token is an argument, or tokens stand on stdin, one per line; each gets one line of output, in order.
One that is refused has its code on stderr, and the status is then 1.`,
  options: {
    jwks: { type: 'string', value: 'URL', help: 'Where the issuer publishes its keys, https.' },
    ca: { type: 'string', value: 'FILE', help: 'The authority to trust for --jwks, in place of the public ones.' },
    key: { type: 'string', value: 'FILE', help: 'A public key or certificate (PEM), a JWK or a JWK set.' },
    'secret-file': { type: 'string', value: 'FILE', help: 'The secret shared with the issuer; - asks for it.' },
    alg: { type: 'string', value: 'NAME', multiple: true, help: 'The algorithm to accept, such as ES256. Default: that of the key.' },
    issuer: { type: 'string', value: 'TEXT', help: 'Required: the issuer of the tokens.' },
    audience: { type: 'string', value: 'TEXT', multiple: true, help: 'Required: whom they must be meant for; one match is enough.' },
  },
  async run(values, token, terminal) {
    const { issuer, audience, json } = values
    if (issuer === undefined || audience === undefined) throw usageError('--issuer and --audience are required.')
    if (token === undefined && values['secret-file'] === '-') throw usageError('Stdin cannot hold the secret and the tokens.')
    const opened = await keysOf(values, terminal)
    try {
      const algorithms = values.alg as readonly [Algorithm, ...Algorithm[]] | undefined // the verifier knows the names
      // A command has nothing else to do meanwhile, and the next line waits for this one.
      const verifier = createVerifier({ issuer, audience, keys: opened.keys, verifyOn: 'eventLoop', ...(algorithms && { algorithms }) })
      const judge = async (text: string): Promise<Outcome> => outcomeOf(async () => verifier.verify(text))
      return token === undefined ? await eachLine(judge, json, terminal) : await single(await judge(token), json, terminal)
    } finally {
      opened.close()
    }
  },
})

async function keysOf(values: KeyValues, terminal: Terminal): Promise<{ readonly keys: KeysOption; close(): void }> {
  const { jwks, ca, key, 'secret-file': secretFile, alg } = values
  if ([jwks, key, secretFile].filter((one) => one !== undefined).length !== 1)
    throw usageError('One of --jwks, --key and --secret-file is required, and only one.')
  if (ca !== undefined && jwks === undefined) throw usageError('--ca goes with --jwks.')
  const nothing = { close: () => undefined }
  if (key !== undefined) {
    const found = await verificationKeys(key)
    // The algorithms are bound to the key itself, so that an RSA key can be used for one that is not its default.
    return {
      keys: alg === undefined || 'jwks' in found ? found : { ...found, algorithms: alg as readonly [Algorithm, ...Algorithm[]] },
      ...nothing,
    }
  }
  if (jwks === undefined) {
    const secret = await sharedSecret(secretFile ?? '-', terminal)
    return { keys: { secret, ...(alg && { algorithms: alg as readonly [Algorithm, ...Algorithm[]] }) }, ...nothing }
  }
  if (ca === undefined) return { keys: { jwksUri: jwks, ...narrowed(alg) }, ...nothing }
  const { client } = await import('@portcullis/http')
  const call = await client({ tls: { side: 'client', trust: { pemFile: ca }, checkFilesEveryMs: 'off' } })
  return { keys: { jwksUri: jwks, fetch: call, ...narrowed(alg) }, close: () => call[Symbol.dispose]() }
}

function narrowed(alg: KeyValues['alg']): { readonly algorithms?: readonly [Algorithm, ...Algorithm[]] } {
  return alg === undefined ? {} : { algorithms: alg as readonly [Algorithm, ...Algorithm[]] }
}

type Outcome = { readonly ok: true; readonly claims: JwtClaims } | { readonly ok: false; readonly code: string; readonly why: string }

async function outcomeOf(verify: () => ReturnType<ReturnType<typeof createVerifier>['verify']>): Promise<Outcome> {
  try {
    const result = await verify()
    if (!('refused' in result)) return { ok: true, claims: result.claims }
    const about = typeof result.cause === 'string' ? ` (${result.cause})` : ''
    return { ok: false, code: result.refused, why: `${jwtErrorCodes[result.refused]}${about}` }
  } catch (error) {
    // The keys cannot be had: this token is not accepted, whatever the next one is.
    if (isSecurityError(error) && error.family === 'unavailable') return { ok: false, code: error.code, why: error.message }
    throw error
  }
}

async function single(outcome: Outcome, json: boolean | undefined, terminal: Terminal): Promise<ExitCode> {
  if (outcome.ok) {
    await print(terminal, json, outcome, JSON.stringify(outcome.claims, undefined, 2))
    return 0
  }
  if (json === true) await print(terminal, json, { ok: false, code: outcome.code }, '')
  throw new AuthenticationError(outcome.code, outcome.why)
}

async function eachLine(judge: (text: string) => Promise<Outcome>, json: boolean | undefined, terminal: Terminal): Promise<ExitCode> {
  let count = 0
  let refused = 0
  for await (const line of linesOf(terminal.stdin, maxTokenLength)) {
    count++
    const outcome = await judge(line)
    if (outcome.ok) {
      await print(terminal, json, outcome, `accepted ${JSON.stringify(outcome.claims)}`)
      continue
    }
    refused++
    await print(terminal, json, { ok: false, code: outcome.code }, `refused ${outcome.code}`)
    await writeLine(terminal.stderr, `line ${count}: ${outcome.code}: ${outcome.why}`)
  }
  if (count === 0) throw usageError('There is no token, neither as an argument nor on stdin.')
  return refused === 0 ? 0 : 1
}
