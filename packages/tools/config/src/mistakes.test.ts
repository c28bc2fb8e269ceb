import { authenticator, notMine, type ErrorFamily } from '@portcullis/core'
import { describe, expect, it } from 'vitest'
import { policyFrom, policyFromToml } from './index.ts'

const staff = authenticator('staff', () => notMine)
const services = { '/orders': ['GET /:id'] } as const
const options = { mechanisms: { staff }, services }

const jwtOptions = { issuer: 'https://sts.example', audience: 'orders', keys: { jwksUri: 'https://sts.example/jwks' } }
const withJwt = (changes: Record<string, unknown>) => ({
  authenticate: 'staff',
  mechanisms: { partner: { jwt: { ...jwtOptions, ...changes } } },
})
const store = {
  memory: {
    users: [{ username: 'tom', password: '$scrypt$ln=14,r=8,p=5$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA' }],
  },
}
const withBasic = (basic: Record<string, unknown>) => ({ authenticate: 'staff', mechanisms: { users: { basic } } })
const inResource = (level: Record<string, unknown>) => ({
  authenticate: 'staff',
  services: { '/orders': { resources: { 'GET /:id': level } } },
})
const deep = (): unknown => {
  const self: Record<string, unknown> = {}
  self['self'] = self
  return self
}

// What the data are, the path at which the error begins, and its code.
const mistakes: readonly (readonly [string, Record<string, unknown>, string, string])[] = [
  ['nothing at all', {}, 'authenticate', 'ERR_OPTION_MISSING'],
  ['an unknown key at the top', { authenticate: 'staff', autorize: 'x' }, 'The policy has no option "autorize"', 'ERR_OPTION_UNKNOWN'],
  [
    'an unknown key in a service',
    { authenticate: 'staff', services: { '/orders': { scope: 'a' } } },
    'services./orders has no option "scope"; did you mean "scopes"',
    'ERR_OPTION_UNKNOWN',
  ],
  [
    'an unknown key in a resource',
    inResource({ authenticated: 'staff' }),
    'services./orders.resources.GET /:id has no option',
    'ERR_OPTION_UNKNOWN',
  ],
  [
    'an unknown key in an entry',
    { authenticate: [{ use: 'staff', scope: ['a'] }] },
    'authenticate[0] has no option "scope"',
    'ERR_OPTION_UNKNOWN',
  ],
  [
    'an unknown key of a mechanism',
    withJwt({ audiance: 'x' }),
    'mechanisms.partner.jwt has no option "audiance"; did you mean "audience"',
    'ERR_OPTION_UNKNOWN',
  ],
  [
    'an unknown key of keys',
    withJwt({ keys: { jwksUri: 'https://sts.example/jwks', timeout: 5 } }),
    'mechanisms.partner.jwt.keys has no option "timeout"',
    'ERR_OPTION_UNKNOWN',
  ],
  [
    'an unknown key of a store',
    withBasic({ realm: 'r', store: { file: { path: 'x' } } }),
    'mechanisms.users.basic.store.file has no option "path"',
    'ERR_OPTION_UNKNOWN',
  ],
  [
    'an unknown kind',
    { authenticate: 'staff', mechanisms: { partner: { jwtt: {} } } },
    'mechanisms.partner must have one kind',
    'ERR_OPTION_UNKNOWN',
  ],
  [
    'two kinds',
    { authenticate: 'staff', mechanisms: { partner: { jwt: jwtOptions, apiKeys: {} } } },
    'mechanisms.partner must have one kind',
    'ERR_OPTION_UNKNOWN',
  ],
  [
    'two stores',
    withBasic({ realm: 'r', store: { ...store, file: { file: 'x' } } }),
    'mechanisms.users.basic.store must',
    'ERR_OPTION_INVALID',
  ],
  ['an option that only code has', withJwt({ clock: 'x' }), 'mechanisms.partner.jwt has no option "clock"', 'ERR_OPTION_UNKNOWN'],
  [
    'an option that switches a check off',
    withJwt({ expiry: 'never' }),
    'mechanisms.partner.jwt has no option "expiry"',
    'ERR_OPTION_UNKNOWN',
  ],
  [
    'an unknown service',
    { authenticate: 'staff', services: { '/ordres': { scopes: 'a' } } },
    'services./ordres is not among',
    'ERR_CONFIG_LEVEL_UNKNOWN',
  ],
  [
    'an unknown resource',
    { authenticate: 'staff', services: { '/orders': { resources: { 'GET /{id}': {} } } } },
    'services./orders.resources.GET /{id} is not among',
    'ERR_CONFIG_LEVEL_UNKNOWN',
  ],
  ['an unknown mechanism', { authenticate: ['staff', 'stuff'] }, 'authenticate[1] names "stuff"', 'ERR_CONFIG_MECHANISM_UNKNOWN'],
  ['a mechanism of the prototype', { authenticate: 'constructor' }, 'authenticate names "constructor"', 'ERR_CONFIG_MECHANISM_UNKNOWN'],
  [
    'a mechanism that code has',
    { authenticate: 'staff', mechanisms: { staff: { jwt: jwtOptions } } },
    'mechanisms.staff',
    'ERR_CONFIG_MECHANISM_DUPLICATE',
  ],
  [
    'a reserved name',
    { authenticate: 'staff', mechanisms: { everyone: { jwt: jwtOptions } } },
    'mechanisms.everyone',
    'ERR_CONFIG_MECHANISM_DUPLICATE',
  ],
  ['an empty list', { authenticate: [] }, 'authenticate is an empty list', 'ERR_POLICY_EMPTY'],
  ['an empty list in a list', { authenticate: [['staff'], []] }, 'authenticate[1] is an empty list', 'ERR_POLICY_EMPTY'],
  ['no scopes', inResource({ scopes: [] }), 'services./orders.resources.GET /:id.scopes is an empty list', 'ERR_POLICY_EMPTY'],
  [
    'an empty scope',
    inResource({ scopes: ['a', ''] }),
    'services./orders.resources.GET /:id.scopes[1] must be a text',
    'ERR_OPTION_INVALID',
  ],
  [
    'a scope that is a number',
    inResource({ scopes: [['a'], [7]] }),
    'services./orders.resources.GET /:id.scopes[1][0] must be a text',
    'ERR_OPTION_INVALID',
  ],
  [
    'no scopes in an entry',
    { authenticate: [{ use: 'staff', scopes: [] }] },
    'authenticate[0].scopes is an empty list',
    'ERR_POLICY_EMPTY',
  ],
  ['an entry without scopes', { authenticate: [{ use: 'staff' }] }, 'authenticate[0].scopes is required', 'ERR_OPTION_MISSING'],
  ['an entry without a name', { authenticate: [{ scopes: ['a'] }] }, 'authenticate[0].use is required', 'ERR_OPTION_MISSING'],
  ['a list among names', { authenticate: ['staff', ['staff']] }, 'authenticate[0] stands among lists', 'ERR_OPTION_INVALID'],
  ['lists three deep', { authenticate: [[['staff']]] }, 'authenticate[0][0] must be a name', 'ERR_OPTION_INVALID'],
  ['everyone', { authenticate: 'everyone' }, 'authenticate says "everyone"', 'ERR_CONFIG_ANONYMOUS'],
  [
    'everyone in a list',
    { authenticate: ['staff', 'everyone'] },
    'authenticate[1] is "everyone", which stands alone',
    'ERR_OPTION_INVALID',
  ],
  [
    'absent',
    inResource({ authenticate: [['staff'], ['absent']] }),
    'services./orders.resources.GET /:id.authenticate says "absent"',
    'ERR_CONFIG_ANONYMOUS',
  ],
  ['absent with scopes', { authenticate: { use: 'absent', scopes: ['a'] } }, 'authenticate.use is "absent"', 'ERR_OPTION_INVALID'],
  ['a disabled top', { authenticate: 'staff', enabled: false }, 'enabled is false', 'ERR_CONFIG_DISABLED'],
  ['enabled that is no boolean', { authenticate: 'staff', enabled: 'false' }, 'enabled must be', 'ERR_OPTION_INVALID'],
  ['enabled that is 0', { authenticate: 'staff', enabled: 0 }, 'enabled must be', 'ERR_OPTION_INVALID'],
  ['services that are a list', { authenticate: 'staff', services: ['/orders'] }, 'services must be a table', 'ERR_OPTION_INVALID'],
  ['a number as mechanism', { authenticate: 5 }, 'authenticate must be a name', 'ERR_OPTION_INVALID'],
  [
    'too many alternatives',
    {
      authenticate: Array.from({ length: 7 }, () => [
        { use: 'staff', scopes: ['a'] },
        { use: 'staff', scopes: ['b'] },
      ]),
    },
    'authenticate: ',
    'ERR_POLICY_TOO_LARGE',
  ],
  ['a function', { authenticate: () => true }, 'authenticate is a function', 'ERR_CONFIG_VALUE'],
  ['a symbol', { authenticate: Symbol.for('portcullis.jwt.anyAudience') }, 'authenticate is a symbol', 'ERR_CONFIG_VALUE'],
  ['a symbol as key', { authenticate: 'staff', [Symbol('x')]: 1 }, 'The data has a symbol', 'ERR_CONFIG_VALUE'],
  ['undefined', { authenticate: 'staff', scopes: undefined }, 'scopes is undefined', 'ERR_CONFIG_VALUE'],
  ['an authenticator itself', { authenticate: new URL('https://sts.example') }, 'authenticate is an instance', 'ERR_CONFIG_VALUE'],
  [
    'an inherited policy',
    Object.create({ authenticate: 'staff' }) as Record<string, unknown>,
    'The data is an instance',
    'ERR_CONFIG_VALUE',
  ],
  [
    'NaN',
    withJwt({ clockToleranceSeconds: Number.NaN }),
    'mechanisms.partner.jwt.clockToleranceSeconds is no finite number',
    'ERR_CONFIG_VALUE',
  ],
  ['data that contain themselves', { authenticate: 'staff', services: deep() }, 'services', 'ERR_CONFIG_VALUE'],
  [
    'a number out of bounds',
    withJwt({ clockToleranceSeconds: 3600 }),
    'mechanisms.partner.jwt: clockToleranceSeconds must',
    'ERR_OPTION_INVALID',
  ],
  [
    'a text for a number',
    withJwt({ clockToleranceSeconds: '5' }),
    'mechanisms.partner.jwt.clockToleranceSeconds must',
    'ERR_OPTION_INVALID',
  ],
  ['an empty audience', withJwt({ audience: [] }), 'mechanisms.partner.jwt.audience must', 'ERR_OPTION_INVALID'],
  ['no audience', withJwt({ audience: '' }), 'mechanisms.partner.jwt.audience must', 'ERR_OPTION_INVALID'],
  ['keys without a source', withJwt({ keys: {} }), 'mechanisms.partner.jwt.keys needs one of', 'ERR_OPTION_MISSING'],
  ['an empty list of keys', withJwt({ keys: [] }), 'mechanisms.partner.jwt.keys must', 'ERR_OPTION_INVALID'],
  [
    'a key that cannot be read',
    withJwt({ keys: { publicKey: { pemFile: 'no/such/file' } } }),
    'mechanisms.partner.jwt.keys.publicKey: ',
    'ERR_CRYPTO_FILE_UNREADABLE',
  ],
  ['keys over plain http', withJwt({ keys: { jwksUri: 'http://sts.example/jwks' } }), 'mechanisms.partner.jwt: ', 'ERR_OPTION_INVALID'],
  [
    'a secret that is not there',
    withJwt({ keys: { secret: { env: 'PORTCULLIS_TEST_NO_SUCH' } } }),
    'mechanisms.partner.jwt.keys.secret names env',
    'ERR_CONFIG_SECRET',
  ],
  [
    'a secret from two places',
    withJwt({ keys: { secret: { env: 'A', file: 'b' } } }),
    'mechanisms.partner.jwt.keys.secret',
    'ERR_OPTION_UNKNOWN',
  ],
  [
    'an issuer without keys',
    { authenticate: 'staff', mechanisms: { p: { jwt: { issuers: [{ issuer: 'x', audience: 'y' }] } } } },
    'mechanisms.p.jwt: keys is required',
    'ERR_OPTION_MISSING',
  ],
  [
    'an unknown key of an issuer',
    { authenticate: 'staff', mechanisms: { p: { jwt: { issuers: [{ ...jwtOptions, iss: 'x' }] } } } },
    'mechanisms.p.jwt.issuers[0] has no option "iss"',
    'ERR_OPTION_UNKNOWN',
  ],
  [
    'a user file that is not there',
    withBasic({ realm: 'r', store: { file: { file: 'no/such/file' } } }),
    'mechanisms.users.basic.store.file: ',
    'ERR_USER_STORE_UNREADABLE',
  ],
  [
    'plain-text passwords',
    withBasic({ realm: 'r', store: { memory: { users: { tom: { password: 'secret' } } } } }),
    'mechanisms.users.basic.store.memory: ',
    'ERR_PASSWORD_VALUE_PLAIN',
  ],
  [
    'plain text allowed by data',
    withBasic({ realm: 'r', store: { memory: { ...store.memory, plainText: true } } }),
    'mechanisms.users.basic.store.memory has no option "plainText"',
    'ERR_OPTION_UNKNOWN',
  ],
  [
    'no users',
    withBasic({ realm: 'r', store: { memory: { users: [] } } }),
    'mechanisms.users.basic.store.memory: ',
    'ERR_USER_STORE_EMPTY',
  ],
  [
    'an unknown client method',
    {
      authenticate: 'staff',
      mechanisms: {
        o: { introspection: { server: { issuer: 'https://as.example' }, audience: 'x', client: { method: 'toString', clientId: 'c' } } },
      },
    },
    'mechanisms.o.introspection.client.method is one of',
    'ERR_OPTION_INVALID',
  ],
  [
    'certificates without a bundle',
    { authenticate: 'staff', mechanisms: { c: { clientCertificate: { issuers: { mesh: { by: 'dns', everyone: { scopes: [] } } } } } } },
    'mechanisms.c.clientCertificate: ',
    'ERR_OPTION_INVALID',
  ],
]

async function failureOf(made: Promise<unknown>): Promise<{ code: string; message: string; family: ErrorFamily }> {
  return made.then(
    () => Promise.reject(new Error('It was taken.')),
    (error: { code: string; message: string; family: ErrorFamily }) => error,
  )
}

describe('mistakes in data', () => {
  it.each(mistakes)('%s: the error names the place', async (_what, data, path, code) => {
    const error = await failureOf(policyFrom(data, options))
    expect(error.message.slice(0, path.length)).toBe(path)
    expect(error).toMatchObject({ code, family: 'configuration' })
  })

  it('are the same in JSON, where __proto__ is a key like any other', async () => {
    for (const text of [
      '{"authenticate":"staff","__proto__":{"enabled":false}}',
      '{"authenticate":"staff","services":{"/orders":{"__proto__":{"scopes":"a"}}}}',
      '{"authenticate":{"use":"staff","scopes":["a"],"__proto__":{}}}',
      '{"authenticate":"__proto__"}',
      '{"authenticate":"staff","services":{"__proto__":{}}}',
      '{"authenticate":"staff","mechanisms":{"__proto__":{}}}',
      '{"authenticate":"staff","mechanisms":{"x":{"__proto__":{}}}}',
      '{"authenticate":null}',
      '[]',
      '"staff"',
      'null',
    ])
      await expect(policyFrom(JSON.parse(text) as Record<string, unknown>, options), text).rejects.toMatchObject({
        family: 'configuration',
      })
    expect(Object.keys({} as object)).toEqual([])
    expect(({} as { enabled?: unknown }).enabled).toBeUndefined()
  })

  it('are found in TOML by line and column, and the text is not shown', async () => {
    const error = await failureOf(policyFromToml('authenticate = "staff"\nkey = "very secret', options))
    expect(error).toMatchObject({ code: 'ERR_CONFIG_TOML' })
    expect(error.message).toMatch(/^Line 2, column \d+ /)
    expect(JSON.stringify(error) + error.message).not.toContain('very secret')
    await expect(policyFromToml('', options)).rejects.toMatchObject({ code: 'ERR_OPTION_INVALID' })
    await expect(policyFromToml('authenticate = 2026-01-01', options)).rejects.toMatchObject({ code: 'ERR_CONFIG_VALUE' })
  })

  it('in what code supplies are found too', async () => {
    const data = withJwt({})
    const revocations = () => false
    await expect(policyFrom(data, { ...options, inCode: { 'mechanisms.partner.jtw.revocations': revocations } })).rejects.toMatchObject({
      code: 'ERR_CONFIG_IN_CODE',
    })
    await expect(policyFrom(data, { ...options, inCode: { 'mechanisms.partner.jwt.audience': 'x' } })).rejects.toMatchObject({
      code: 'ERR_CONFIG_IN_CODE',
    })
    await expect(policyFrom(data, { ...options, inCode: { 'mechanisms.partner.jwt.revocation': revocations } })).rejects.toMatchObject({
      code: 'ERR_OPTION_UNKNOWN',
    })
    await expect(policyFrom(data, { ...options, misspelt: 1 } as never)).rejects.toMatchObject({ code: 'ERR_OPTION_UNKNOWN' })
    await expect(policyFrom({ authenticate: 'absent' }, { mechanisms: { absent: staff } })).rejects.toMatchObject({
      code: 'ERR_CONFIG_MECHANISM_DUPLICATE',
    })
  })

  it('in the names of levels that code asks for are found too', async () => {
    const policy = await policyFrom({ authenticate: 'staff' }, options)
    for (const [service, resource] of [['/ordres'], ['/orders', 'GET /'], ['/orders', 'constructor'], ['__proto__']])
      expect(() => policy.at(service as '/orders', resource as 'GET /:id')).toThrow(
        expect.objectContaining({ code: 'ERR_CONFIG_LEVEL_UNKNOWN' }),
      )
  })
})
