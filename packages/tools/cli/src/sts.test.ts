import { spawn, type ChildProcess } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { request } from 'node:https'
import { connect } from 'node:net'
import { join } from 'node:path'
import { hashPassword } from '@portcullis/crypto'
import { createDevelopmentCertificates } from '@portcullis/tls/development'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { Folder, here, portcullis, program, type Ended } from './process.test-support.ts'

const folder = new Folder()
const children: ChildProcess[] = []
const secrets = { shop: 'shop-secret-of-32-random-letters', stock: 'stock-secret-of-32-random-letter', alice: 'correct horse battery' }
afterEach(() => {
  // Those that a failed test left behind.
  for (const child of children.splice(0)) child.kill('SIGKILL')
})
afterAll(() => folder[Symbol.dispose]())

const audiences = '[audiences.orders]\nscopes = ["read", "write"]\nformat = "opaque"\nlifetimeSeconds = 60\n'
const shop =
  '[[clients]]\nid = "shop"\nsecret = { env = "SHOP_SECRET" }\ngrants = ["client_credentials", "password"]\naudiences = ["orders"]\nscopes = ["read"]\n'
let config: string
let whole: string

beforeAll(async () => {
  folder.write('stock.secret', `${secrets.stock}\n`)
  folder.write('users.toml', `[[users]]\nusername = "alice"\npassword = "${await hashPassword(secrets.alice)}"\nscopes = ["read"]\n`)
  whole = `${audiences}${shop}
[[clients]]
id = "stock"
secret = { file = "stock.secret" }
serves = ["orders"]

[[clients]]
id = "bills"
secret = { hash = "${await hashPassword(secrets.shop)}" }
grants = ["client_credentials"]
audiences = ["orders"]
scopes = ["write"]

[users]
file = "users.toml"
`
  config = folder.write('sts.toml', whole)
})

interface Running {
  readonly issuer: string
  readonly tokenEndpoint: string
  readonly introspectionEndpoint: string
  readonly jwksUri: string
  readonly authority: string
  readonly ca: string
  readonly child: ChildProcess
  stop(signal: NodeJS.Signals): Promise<Ended>
}

/** Starts the service as a process; resolves when it has said where it is. */
function start(args: readonly string[]): Promise<Running> {
  const [node, ...before] = program
  const child = spawn(node, [...before, 'sts', '--config', config, '--json', ...args], {
    env: { ...process.env, SHOP_SECRET: secrets.shop },
  })
  children.push(child)
  let stdout = ''
  let stderr = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text))
  const ended = new Promise<Ended>((resolve) => child.once('close', (code) => resolve({ code, stdout, stderr })))
  return new Promise((resolve, reject) => {
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      stdout += text
      if (!stdout.endsWith('\n')) return
      const said = JSON.parse(stdout) as Running
      const stop = (signal: NodeJS.Signals): Promise<Ended> => {
        child.kill(signal)
        return ended
      }
      const ca = readFileSync(args.includes('--development') ? said.authority : join(folder.path, 'certificates', 'authority.crt'), 'utf8')
      resolve({ ...said, ca, child, stop })
    })
    void ended.then(() => reject(new Error(`It ended: ${stderr}`)))
  })
}

interface Answer {
  readonly status: number | undefined
  readonly body: Readonly<Record<string, unknown>>
}

function ask(
  url: string,
  ca: string,
  form?: Readonly<Record<string, string>>,
  client?: readonly [id: string, secret: string],
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const options = {
      ca,
      method: form === undefined ? 'GET' : 'POST',
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
      ...(client && { auth: client.join(':') }),
    }
    request(url, options, (response) => {
      let text = ''
      response.setEncoding('utf8').on('data', (part: string) => (text += part))
      response.on('end', () => resolve({ status: response.statusCode, body: JSON.parse(text) as Answer['body'] }))
    })
      .on('error', reject)
      .end(form && new URLSearchParams(form).toString())
  })
}

const byCredentials = { grant_type: 'client_credentials' }
const introspect = (at: Running, token: unknown): Promise<Answer> =>
  ask(at.introspectionEndpoint, at.ca, { token: String(token) }, ['stock', secrets.stock])

describe('sts', () => {
  it('issues and introspects tokens, refuses a wrong secret, and ends when it is told to', async () => {
    const running = await start(['--development', '--port', '0'])
    const { tokenEndpoint, ca } = running
    expect(running.issuer).toMatch(/^https:\/\/localhost:\d+$/)
    const issued = await ask(tokenEndpoint, ca, byCredentials, ['shop', secrets.shop])
    expect(issued).toMatchObject({ status: 200, body: { token_type: 'Bearer', expires_in: 60, scope: 'read' } })
    expect((await introspect(running, issued.body['access_token'])).body).toMatchObject({ active: true, client_id: 'shop', aud: 'orders' })
    expect((await introspect(running, 'made-up')).body).toEqual({ active: false })
    for (const [id, secret] of [
      ['shop', 'wrong'],
      ['stock', secrets.shop],
      ['bills', 'wrong'],
      ['nobody', secrets.shop],
    ] as const)
      expect(await ask(tokenEndpoint, ca, byCredentials, [id, secret])).toMatchObject({ status: 401, body: { error: 'invalid_client' } })

    const { code, stdout, stderr } = await running.stop('SIGTERM')
    expect(code).toBe(0)
    expect(existsSync(running.authority)).toBe(false)
    const events = stderr
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as { readonly type: string; readonly time: string })
    expect(events.map(({ type }) => type)).toEqual(['issued', ...Array.from({ length: 4 }, () => 'refused')])
    for (const { time } of events) expect(new Date(time).toJSON()).toBe(time)
    for (const hidden of [...Object.values(secrets), String(issued.body['access_token'])]) expect(stdout + stderr).not.toContain(hidden)
  })

  it('takes secrets by hash, and passwords of the users of a file', async () => {
    const running = await start(['--development', '--port', '0'])
    const { tokenEndpoint, ca } = running
    expect(await ask(tokenEndpoint, ca, byCredentials, ['bills', secrets.shop])).toMatchObject({ status: 200, body: { scope: 'write' } })
    const login = (password: string): Promise<Answer> =>
      ask(tokenEndpoint, ca, { grant_type: 'password', username: 'alice', password }, ['shop', secrets.shop])
    expect(await login(secrets.alice)).toMatchObject({ status: 200, body: { scope: 'read' } })
    expect(await login('wrong')).toMatchObject({ status: 400, body: { error: 'invalid_grant' } })
    expect(await running.stop('SIGINT')).toMatchObject({ code: 0, stderr: expect.not.stringContaining(secrets.alice) })
  })

  it('knows its tokens and keys after a restart, where it keeps them in a file', async () => {
    const args = ['--development', '--state', join(folder.path, 'sts.db'), '--port']
    const first = await start([...args, '0'])
    const { access_token: token } = (await ask(first.tokenEndpoint, first.ca, byCredentials, ['shop', secrets.shop])).body
    const keys = (await ask(first.jwksUri, first.ca)).body
    expect((await first.stop('SIGTERM')).code).toBe(0)
    const { port } = new URL(first.issuer)
    const second = await start([...args, port])
    expect((await introspect(second, token)).body).toMatchObject({ active: true, iss: first.issuer })
    expect((await ask(second.jwksUri, second.ca)).body).toEqual(keys)
    await second.stop('SIGTERM')
    const forgetful = await start(['--development', '--port', port])
    expect((await introspect(forgetful, token)).body).toEqual({ active: false })
    expect((await forgetful.stop('SIGTERM')).code).toBe(0)
  })

  it('ends when nobody reads its events any more, and leaves nothing behind', async () => {
    const { tokenEndpoint, ca, child, authority } = await start(['--development', '--port', '0'])
    const code = new Promise((resolve) => child.once('close', resolve))
    child.stderr?.destroy()
    await ask(tokenEndpoint, ca, byCredentials, ['shop', secrets.shop])
    expect(await code).toBe(1)
    expect(existsSync(authority)).toBe(false)
  })

  it('serves a certificate of files, to this machine alone', async () => {
    const { server } = await createDevelopmentCertificates({ directory: join(folder.path, 'certificates') })
    const running = await start(['--cert', server.certificate, '--key', server.key, '--port', '0'])
    expect(running).not.toHaveProperty('authority')
    expect((await ask(running.jwksUri, running.ca)).body).toMatchObject({ keys: [{ alg: 'ES256' }, { alg: 'RS256' }] })
    const elsewhere = connect({ host: '127.0.0.2', port: Number(new URL(running.issuer).port) })
    await expect(new Promise((resolve, reject) => elsewhere.once('connect', resolve).once('error', reject))).rejects.toThrow()
    const { port } = new URL(running.issuer)
    expect(await here(['sts', '--config', folder.write('none.toml', publicClient), '--development', '--port', port])).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/^ERR_HTTP_LISTEN: /),
    })
    expect((await running.stop('SIGTERM')).code).toBe(0)
  })
})

const publicClient = `${audiences}[[clients]]\nid = "app"\nauthentication = "none"\n`
const plain = 'correct-horse-battery-staple'

describe('what the file of sts may not say', () => {
  const wrong: readonly (readonly [string, string, RegExp])[] = [
    ['an unknown key', `clock = 1\n${publicClient}`, /^ERR_OPTION_UNKNOWN: .*wrong\.toml: has no option "clock"/],
    [
      'a misspelt key of a client',
      `${publicClient}scops = ["read"]\n`,
      /^ERR_OPTION_UNKNOWN: .*: clients\[0\] has no option "scops"; did you mean "scopes"\?/,
    ],
    [
      'a misspelt key of an audience',
      publicClient.replace('format', 'fromat'),
      /^ERR_OPTION_UNKNOWN: .*: audiences\.orders has no option "fromat"/,
    ],
    [
      'a misspelt key of a secret',
      `${audiences}[[clients]]\nid = "shop"\nsecret = { evn = "X" }\n`,
      /: clients\[0\]\.secret has no option "evn"/,
    ],
    ['a misspelt key of the users', `${publicClient}[users]\nflie = "x"\n`, /: users has no option "flie"/],
    ['a key that a prototype has', `${publicClient}__proto__ = 1\n`, /^ERR_OPTION_UNKNOWN: .*: clients\[0\] has no option "__proto__"/],
    [
      'a plain secret',
      `${audiences}[[clients]]\nid = "shop"\nsecret = "${plain}"\n`,
      /^ERR_CLI_FILE: .*: clients\[0\]\.secret stands in the file as it is; say { env = /,
    ],
    [
      'a plain secret as hash',
      `${audiences}[[clients]]\nid = "shop"\nsecret = { hash = "${plain}" }\n`,
      /: clients\[0\]\.secret\.hash is no hash/,
    ],
    [
      'a secret from two places',
      `${audiences}[[clients]]\nid = "shop"\nsecret = { env = "A", file = "b" }\n`,
      /: clients\[0\]\.secret is one of/,
    ],
    ['a secret from nowhere', `${audiences}[[clients]]\nid = "shop"\nsecret = {}\n`, /: clients\[0\]\.secret is one of/],
    ['a variable that is not there', `${audiences}${shop}`, /: clients\[0\]\.secret names the variable SHOP_SECRET/],
    [
      'a secret file that is not there',
      `${audiences}[[clients]]\nid = "shop"\nsecret = { file = "gone" }\n`,
      /^ERR_CLI_FILE: .*gone cannot be read/,
    ],
    ['a secret that can be guessed', `${audiences}[[clients]]\nid = "shop"\nsecret = { file = "short" }\n`, /^ERR_STS_CLIENT_INVALID: /],
    ['a client without proof', `${audiences}[[clients]]\nid = "shop"\n`, /: clients\[0\] needs a secret/],
    [
      'a client without name',
      `${audiences}[[clients]]\nauthentication = "none"\n`,
      /^ERR_OPTION_MISSING: .*: clients\[0\]\.id is required/,
    ],
    ['a grant that is none', `${publicClient}grants = ["pasword"]\n`, /: clients\[0\]\.grants\[0\] must be "client_credentials" or/],
    ['an empty list', `${publicClient}grants = []\n`, /^ERR_OPTION_INVALID: .*: clients\[0\]\.grants /],
    [
      'the password grant without users',
      `${publicClient}grants = ["password"]\naudiences = ["orders"]\n`,
      /^ERR_STS_GRANT_NOT_CONFIGURED: /,
    ],
    ['users who are not there', `${publicClient}[users]\nfile = "gone.toml"\n`, /^ERR_USER_STORE_UNREADABLE: /],
    ['an audience that is none', `${publicClient}serves = ["bills"]\n`, /^ERR_STS_AUDIENCE_UNKNOWN: /],
    ['a lifetime that is none', publicClient.replace('60', '"60"'), /: audiences\.orders\.lifetimeSeconds must be a number/],
    ['no clients', audiences, /^ERR_CLI_FILE: .*wrong\.toml has no \[\[clients\]\]/],
    ['no audiences', '[[clients]]\nid = "app"\nauthentication = "none"\n', /^ERR_OPTION_MISSING: createSts audiences/],
    ['no TOML', `${audiences}secret = "${plain}" oops`, /^ERR_CLI_FILE: .*wrong\.toml is no TOML from line 5/],
  ]
  it.each(wrong)('%s: status 2, with its place and no value', async (_what, content, message) => {
    folder.write('short', 'secret')
    const { code, stdout, stderr } = await here(['sts', '--config', folder.write('wrong.toml', content), '--development', '--port', '0'])
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' })
    expect(stderr).toMatch(message)
    expect(stderr).not.toContain(plain)
    expect(stderr).not.toContain('    at ')
  })

  it('ends a process, too', async () => {
    const file = folder.write('wrong.toml', `${publicClient}scops = ["read"]\n`)
    expect(await portcullis(['sts', '--config', file, '--development'])).toMatchObject({
      code: 2,
      stdout: '',
      stderr: expect.stringContaining('clients[0] has no option "scops"'),
    })
  })
})

describe('what the command line of sts may not say', () => {
  const wrong: readonly (readonly [string, readonly string[]])[] = [
    ['no file', ['--development']],
    ['no certificate', ['--config', 'x']],
    ['half a certificate', ['--config', 'x', '--cert', 'x']],
    ['a certificate and --development', ['--config', 'x', '--cert', 'x', '--key', 'x', '--development']],
    ['a key and --development', ['--config', 'x', '--key', 'x', '--development']],
    ['--development for others', ['--config', 'x', '--development', '--host', '0.0.0.0']],
    ['a port that is none', ['--config', 'x', '--development', '--port', '65536']],
  ]
  it.each(wrong)('%s', async (_what, args) => {
    expect(await here(['sts', ...args])).toMatchObject({ code: 2, stdout: '', stderr: expect.stringMatching(/^ERR_CLI_USAGE: /) })
  })

  it.each([
    ['a state that is none', ['--development', '--state', 'sts.toml'], 'ERR_CLI_FILE'],
    ['a certificate that is none', ['--cert', 'sts.toml', '--key', 'sts.toml'], 'ERR_TLS_MATERIAL'],
    ['an issuer of others with --development', ['--development'], 'ERR_OPTION_INVALID'],
  ])('%s', async (_what, args, codeOfError) => {
    const file = folder.write(
      'own.toml',
      codeOfError === 'ERR_OPTION_INVALID' ? `issuer = "https://sts.example"\n${publicClient}` : publicClient,
    )
    expect(await portcullis(['sts', '--config', file, '--port', '0', ...args], '', folder.path)).toMatchObject({
      code: 2,
      stdout: '',
      stderr: expect.stringMatching(new RegExp(`^${codeOfError}: `, 'm')),
    })
  })
})
