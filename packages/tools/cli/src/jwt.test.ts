import { spawn } from 'node:child_process'
import { generateKeyPairSync } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { secret } from '@portcullis/core'
import { manualClock } from '@portcullis/core/testing'
import { issue, type IssuerSettings } from '@portcullis/jwt'
import { secureServerOptions } from '@portcullis/tls'
import { developmentTls } from '@portcullis/tls/development'
import { afterAll, describe, expect, it } from 'vitest'
import { Folder, here, portcullis, program } from './process.test-support.ts'

const folder = new Folder()
afterAll(() => folder[Symbol.dispose]())

const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' })
const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 })
const pem = { type: 'spki', format: 'pem' } as const
const pkcs8 = { type: 'pkcs8', format: 'pem' } as const
const sharedText = 'a-secret-of-thirty-two-characters-and-more'
const files = {
  public: folder.write('public.pem', ec.publicKey.export(pem)),
  private: folder.write('private.pem', ec.privateKey.export(pkcs8)),
  encrypted: folder.write('encrypted.pem', ec.privateKey.export({ ...pkcs8, cipher: 'aes-256-cbc', passphrase: 'correct horse' })),
  rsaPublic: folder.write('rsa.pem', rsa.publicKey.export(pem)),
  jwk: folder.write('key.jwk', JSON.stringify(ec.publicKey.export({ format: 'jwk' }))),
  privateJwk: folder.write('private.jwk', JSON.stringify(ec.privateKey.export({ format: 'jwk' }))),
  jwks: folder.write('set.jwks', JSON.stringify({ keys: [{ ...ec.publicKey.export({ format: 'jwk' }), kid: 'one' }] })),
  secret: folder.write('secret', `${sharedText}\n`),
  password: folder.write('password', 'correct horse\n'),
  notJson: folder.write('broken.json', '{ "a": very secret'),
  list: folder.write('list.json', '["a"]'),
}

const issuer = 'https://sts.example'
const expected = ['--issuer', issuer, '--audience', 'orders'] as const
const token = (init: Partial<IssuerSettings> = {}) =>
  issue({ issuer, audience: 'orders', subject: 'alice', key: { privateKey: ec.privateKey }, ...init })
const verifyAsProcess = (args: readonly string[], input?: string) => portcullis(['jwt', 'verify', ...expected, ...args], input)
const verify = (args: readonly string[], input?: string) => here(['jwt', 'verify', ...expected, ...args], input)

describe('jwt verify', () => {
  it.each([
    ['a public key', 'public'],
    ['a JWK', 'jwk'],
    ['a JWK set', 'jwks'],
  ] as const)('accepts by %s', async (_what, file) => {
    const { code, stdout, stderr } = await verifyAsProcess(['--key', files[file], '--json', await token()])
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    expect(JSON.parse(stdout)).toMatchObject({ ok: true, claims: { iss: issuer, sub: 'alice', aud: 'orders' } })
  })

  it('accepts by a secret out of a file or stdin', async () => {
    const signed = await token({ key: { secret: secret(sharedText) } })
    expect(await verify(['--secret-file', files.secret, signed])).toMatchObject({ code: 0, stdout: expect.stringContaining('"alice"') })
    expect(await verify(['--secret-file', '-', signed], sharedText)).toMatchObject({ code: 0 })
    expect(await verify(['--secret-file', '-', signed], `${sharedText}!`)).toMatchObject({ code: 1 })
    expect(await verify(['--secret-file', '-'], sharedText)).toMatchObject({ code: 2 })
  })

  it('accepts the algorithms named, and no others', async () => {
    const signed = await token({ key: { privateKey: rsa.privateKey, algorithm: 'PS256' } })
    expect(await verify(['--key', files.rsaPublic, '--alg', 'PS256', signed])).toMatchObject({ code: 0 })
    for (const args of [
      ['--key', files.rsaPublic],
      ['--key', files.rsaPublic, '--alg', 'RS256'],
    ])
      expect(await verify([...args, signed])).toMatchObject({
        code: 1,
        stdout: '',
        stderr: expect.stringMatching(/^ERR_JWT_ALGORITHM_NOT_ALLOWED: /),
      })
    expect(await verify(['--key', files.rsaPublic, '--alg', 'none', signed])).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/^ERR_JWT_ALGORITHM_UNKNOWN/),
    })
    expect(await verify(['--key', files.public, '--alg', 'RS256', signed])).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/^ERR_JWT_KEY_UNUSABLE/),
    })
  })

  it('refuses with the code on stderr and status 1', async () => {
    const past = manualClock(Date.now() - 3_600_000)
    const future = manualClock(Date.now() + 3_600_000)
    const none = `${Buffer.from('{"alg":"none"}').toString('base64url')}.e30.`
    const refused: readonly (readonly [string, string])[] = [
      [await token({ clock: past }), 'ERR_JWT_EXPIRED'],
      [await token({ clock: future }), 'ERR_JWT_NOT_YET_VALID'],
      [await token({ audience: 'billing' }), 'ERR_JWT_AUDIENCE_UNEXPECTED'],
      [await token({ issuer: 'https://other.example' }), 'ERR_JWT_ISSUER_UNKNOWN'],
      [await token({ key: { privateKey: generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey } }), 'ERR_JWT_SIGNATURE_INVALID'],
      [`${await token()}=`, 'ERR_JWT_BASE64URL'],
      [none, 'ERR_JWT_UNSECURED'],
      ['junk', 'ERR_JWT_MALFORMED'],
    ]
    for (const [text, code] of refused) {
      expect(await verify(['--key', files.public, text])).toMatchObject({
        code: 1,
        stdout: '',
        stderr: expect.stringMatching(new RegExp(`^${code}: `)),
      })
    }
    const { code, stdout, stderr } = await verifyAsProcess(['--key', files.public, '--json', refused[0]?.[0] ?? ''])
    expect([code, JSON.parse(stdout), stderr]).toEqual([
      1,
      { ok: false, code: 'ERR_JWT_EXPIRED' },
      expect.stringMatching(/^ERR_JWT_EXPIRED: /),
    ])
  })

  it('judges thousands of lines, in order', { timeout: 60_000 }, async () => {
    const good = await token()
    const long = 'x'.repeat(1_000_000)
    const lines = Array.from({ length: 5_000 }, (_, at) => (at === 2_500 ? long : at % 3 === 0 ? `${good}x` : at % 7 === 0 ? '' : good))
    const { code, stdout, stderr } = await verifyAsProcess(['--key', files.public, '--json'], `${lines.join('\r\n')}\n`)
    const said = stdout
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as { ok: boolean; code?: string; claims?: unknown })
    expect(code).toBe(1)
    expect(said.map(({ ok, code: reason }) => (ok ? 'ok' : reason))).toEqual(
      lines.map((line) =>
        line === good ? 'ok' : line === '' ? 'ERR_JWT_MALFORMED' : line === long ? 'ERR_JWT_TOO_LARGE' : expect.stringMatching(/^ERR_JWT_/),
      ),
    )
    expect(stderr).toContain('\nline 2501: ERR_JWT_TOO_LARGE: ')
  })

  it('accepts a list if it accepts each, also without a last line end, and never an empty one', async () => {
    const good = await token()
    expect(await verify(['--key', files.public], `${good}\n${good}`)).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/^(accepted .*\n){2}$/),
    })
    expect(await verify(['--key', files.public], `${good}\nx\n`)).toMatchObject({
      code: 1,
      stdout: expect.stringMatching(/^accepted .*\nrefused ERR_JWT_MALFORMED\n$/),
    })
    expect(await verify(['--key', files.public], '')).toMatchObject({ code: 2, stderr: expect.stringContaining('ERR_CLI_USAGE') })
    expect(await verify(['--key', files.public], '\n')).toMatchObject({ code: 1 })
  })

  it('answers each line before the next one comes', { timeout: 60_000 }, async () => {
    const [node, ...before] = program
    const child = spawn(node, [...before, 'jwt', 'verify', ...expected, '--key', files.public, '--json'])
    child.stdout.setEncoding('utf8')
    for (const line of [await token(), 'junk', await token()]) {
      child.stdin.write(`${line}\n`)
      const [answer] = (await once(child.stdout, 'data')) as [string]
      expect((JSON.parse(answer) as { ok: boolean }).ok).toBe(line !== 'junk')
    }
    child.stdin.end()
    expect(await once(child, 'close')).toEqual([1, null])
  })

  it('ends quietly, and not as accepted, when nobody reads on', { timeout: 60_000 }, async () => {
    const [node, ...before] = program
    const child = spawn(node, [...before, 'jwt', 'verify', ...expected, '--key', files.public, '--json'])
    child.stdin.on('error', () => undefined)
    let stderr = ''
    child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text))
    const good = `${await token()}\n`.repeat(100)
    child.stdin.write(good)
    await once(child.stdout, 'data')
    child.stdout.destroy()
    const closed = once(child, 'close')
    const feed = setInterval(() => child.stdin.write(good), 5)
    expect(await closed).toEqual([1, null])
    clearInterval(feed)
    expect(stderr).toBe('')
  })

  it('fetches keys over TLS from a server of a development authority', { timeout: 60_000 }, async () => {
    const tls = await developmentTls()
    const ca = folder.write('authority.crt', tls.authority)
    let fetches = 0
    const server = createServer(secureServerOptions(tls), (_request, response) => {
      fetches++
      response.end(JSON.stringify({ keys: [{ ...ec.publicKey.export({ format: 'jwk' }), kid: 'one' }] }))
    })
    await once(server.listen(0, '127.0.0.1'), 'listening')
    const url = `https://localhost:${(server.address() as AddressInfo).port}/jwks`
    const good = await token({ key: { privateKey: ec.privateKey, keyId: 'one' } })
    expect(await verifyAsProcess(['--jwks', url, '--ca', ca], `${good}\n`.repeat(50))).toMatchObject({ code: 0, stderr: '' })
    expect(fetches).toBe(1)
    expect(await verifyAsProcess(['--jwks', url, good])).toMatchObject({
      code: 1,
      stdout: '',
      stderr: expect.stringMatching(/^ERR_JWT_KEYS_UNAVAILABLE: /),
    })
    expect(fetches).toBe(1)
    server.close()
    tls.close()
    expect(await verifyAsProcess(['--jwks', url, '--ca', ca, '--json', good])).toMatchObject({
      code: 1,
      stdout: '{"ok":false,"code":"ERR_JWT_KEYS_UNAVAILABLE"}\n',
    })
  })

  it.each([
    ['no key', []],
    ['two keys', ['--key', files.public, '--secret-file', files.secret]],
    ['an authority without a URL', ['--key', files.public, '--ca', files.public]],
    ['a URL without TLS', ['--jwks', 'http://localhost/jwks']],
    ['a file that is not there', ['--key', 'no/such/file']],
    ['a file that is no key', ['--key', files.notJson]],
    ['a list', ['--key', files.list]],
    ['a secret that is too short', ['--secret-file', files.password]],
  ] as const)('calls %s wrong usage', async (_what, args) => {
    const { code, stdout, stderr } = await verify([...args, await token()])
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' })
    expect(stderr).toMatch(/^ERR_[A-Z0-9_]+: /)
    expect(stderr).not.toMatch(/very secret|correct horse| {4}at /)
  })

  it('needs an issuer and an audience', async () => {
    const good = await token()
    for (const some of [
      ['--issuer', issuer],
      ['--audience', 'orders'],
    ])
      expect(await here(['jwt', 'verify', ...some, '--key', files.public, good])).toMatchObject({
        code: 2,
        stderr: expect.stringContaining('are required'),
      })
  })
})

describe('jwt issue', () => {
  const issueBy = (args: readonly string[], input?: string) =>
    here(['jwt', 'issue', '--issuer', issuer, '--audience', 'orders', ...args], input)

  it.each([
    ['PEM', ['--key', files.private], ''],
    ['a JWK', ['--key', files.privateJwk], ''],
    ['an encrypted key, the password from a file', ['--key', files.encrypted, '--password-file', files.password], ''],
    ['an encrypted key, the password from stdin', ['--key', files.encrypted], 'correct horse\n'],
  ] as const)('signs with %s', async (_what, args, input) => {
    const made = await issueBy([...args, '--subject', 'alice', '--scope', 'a b', '--kid', 'one'], input)
    expect(made).toMatchObject({ code: 0, stderr: '' })
    const { stdout } = await verify(['--key', files.jwks, '--json', made.stdout.trim()])
    expect(JSON.parse(stdout)).toMatchObject({ ok: true, claims: { sub: 'alice', scope: 'a b' } })
  })

  it('puts into the token what is asked for', async () => {
    const claims = folder.write('claims.json', '{"level": 3, "team": "x"}')
    const made = await issueBy([
      '--secret-file',
      files.secret,
      '--alg',
      'HS256',
      '--audience',
      'billing',
      '--claims-file',
      claims,
      '--claim',
      'team=blue=ish',
      '--expires-in',
      '60',
      '--typ',
      'at+jwt',
      '--json',
    ])
    const { token: text, expiresAt } = JSON.parse(made.stdout) as { token: string; expiresAt: string }
    const decoded = JSON.parse((await here(['jwt', 'decode', '--json', text])).stdout) as {
      header: unknown
      claims: { iat: number; exp: number }
    }
    expect(decoded).toMatchObject({
      verified: false,
      header: { alg: 'HS256', typ: 'at+jwt' },
      claims: { aud: ['orders', 'billing'], level: 3, team: 'blue=ish' },
    })
    expect(decoded.claims.exp - decoded.claims.iat).toBe(60)
    expect(Date.parse(expiresAt)).toBe(decoded.claims.exp * 1000)
  })

  it.each([
    ['no key', []],
    ['two keys', ['--key', files.private, '--secret-file', files.secret]],
    ['a public key', ['--key', files.public]],
    ['a wrong password', ['--key', files.encrypted, '--password-file', files.secret]],
    ['a password for a key without one', ['--key', files.private, '--password-file', files.password]],
    ['a password without a key', ['--secret-file', files.secret, '--password-file', files.password]],
    ['no lifetime', ['--key', files.private, '--expires-in', '0']],
    ['a lifetime that is no number', ['--key', files.private, '--expires-in', '1h']],
    ['a claim without a name', ['--key', files.private, '--claim', '=x']],
    ['a claim that has an option', ['--key', files.private, '--claim', 'exp=99999999999']],
    ['an algorithm of another key', ['--key', files.private, '--alg', 'RS256']],
    ['no algorithm', ['--key', files.private, '--alg', 'none']],
  ] as const)('calls %s wrong usage', async (_what, args) => {
    const { code, stdout, stderr } = await issueBy(args)
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' })
    expect(stderr).toMatch(/^ERR_[A-Z0-9_]+: /)
    expect(stderr).not.toContain(sharedText)
  })
})

describe('jwt decode', () => {
  it('shows a token, and says that nothing was verified', async () => {
    const text = await token({ clock: manualClock(0) })
    expect(await here(['jwt', 'decode', text])).toMatchObject({
      code: 0,
      stdout: expect.stringContaining('"alice"'),
      stderr: 'Nothing of this was verified.\n',
    })
    expect(JSON.parse((await here(['jwt', 'decode', '--json'], `${text}\n`)).stdout)).toMatchObject({
      verified: false,
      claims: { sub: 'alice' },
    })
  })

  it('refuses what cannot be read', async () => {
    for (const text of ['a.b', `${await token()}.x`, 'x'.repeat(20_000)])
      expect(await here(['jwt', 'decode'], text)).toMatchObject({ code: 1, stdout: '', stderr: expect.stringMatching(/^ERR_JWT_/) })
    expect(await here(['jwt', 'decode'])).toMatchObject({ code: 2 })
  })
})
