import { formatAuthorization, isExhausted, secret, type CredentialSource, type Supplied } from '@portcullis/core'
import { describe, expect, it } from 'vitest'
import { basicCredentials } from './basic-credentials.ts'
import { bearerToken } from './bearer-token.ts'

const origin = 'https://orders.example'
const target = { origin, secure: true }
const other = { origin: 'https://mail.example', secure: true }

const sources: [string, (value: string | (() => string | Promise<string>)) => CredentialSource, string][] = [
  [
    'basicCredentials',
    (password) => basicCredentials({ username: 'tom', password, targets: [origin, other.origin] }),
    `Basic ${Buffer.from('tom:one').toString('base64')}`,
  ],
  ['bearerToken', (token) => bearerToken({ token, targets: [origin, other.origin] }), 'Bearer one'],
]

describe.each(sources)('%s', (_, make, expected) => {
  const refuse = async (source: CredentialSource, supplied: Supplied): Promise<unknown> => {
    try {
      return await source({ target, refused: supplied.credential })
    } catch (error) {
      return error
    }
  }

  it('yields its credential for a target that it was made for, however the origin is spelt', async () => {
    const source = make('one')
    for (const spelling of [origin, 'https://ORDERS.example:443', 'https://orders.example/']) {
      expect(formatAuthorization((await source({ target: { origin: spelling, secure: true } })).credential)).toBe(expected)
    }
  })

  it.each([
    'https://evil.example',
    'http://orders.example',
    'https://orders.example:8443',
    'https://orders.example.evil.example',
    'https://orders.example@evil.example',
  ])('refuses %s', (evil) => {
    expect(() => make('one')({ target: { origin: evil, secure: true } })).toThrow(expect.objectContaining({ code: 'ERR_SOURCE_TARGET' }))
  })

  it('refuses an insecure channel', () => {
    expect(() => make('one')({ target: { origin, secure: false } })).toThrow(expect.objectContaining({ code: 'ERR_SOURCE_INSECURE' }))
  })

  it('never sends twice to a target what that target refused', async () => {
    const source = make('one')
    const first = await source({ target })
    expect(isExhausted(await refuse(source, first))).toBe(true)
    expect(() => source({ target })).toThrow(expect.objectContaining({ code: 'ERR_SOURCE_EXHAUSTED' }))
    expect(() => source({ target: { origin: 'https://ORDERS.example', secure: true } })).toThrow(
      expect.objectContaining({ code: 'ERR_SOURCE_EXHAUSTED' }),
    )
    expect(await source({ target: other })).toMatchObject({ credential: { kind: first.credential.kind } })
  })

  it('sends the next secret that its function yields, and none of the refused ones again', async () => {
    let current = 'one'
    const source = make(async () => current)
    const first = await source({ target })
    expect(isExhausted(await refuse(source, first))).toBe(true)
    current = 'two'
    const second = await source({ target })
    expect(formatAuthorization(second.credential)).not.toBe(expected)
    expect(await refuse(source, first)).toMatchObject({ credential: second.credential })
    expect(isExhausted(await refuse(source, second))).toBe(true)
    current = 'one'
    await expect(source({ target })).rejects.toMatchObject({ code: 'ERR_SOURCE_EXHAUSTED' })
  })

  it('does not build without targets or with an empty secret, and refuses an empty one that comes later', async () => {
    expect(() => make('')).toThrow(expect.objectContaining({ family: 'configuration' }))
    expect(() => make(() => '')({ target })).toThrow(expect.objectContaining({ family: 'configuration' }))
    await expect(make(async () => '')({ target })).rejects.toMatchObject({ family: 'configuration' })
  })
})

describe('basicCredentials', () => {
  it('normalises name and password to NFC', async () => {
    const source = basicCredentials({ username: 'Ju\u0308rgen', password: secret('o\u0308'), targets: [origin] })
    expect(formatAuthorization((await source({ target })).credential)).toBe(`Basic ${Buffer.from('J\u00fcrgen:\u00f6').toString('base64')}`)
  })

  it.each([
    ['a colon in the user name', { username: 'a:b', password: 'x', targets: [origin] }],
    ['a control character in the user name', { username: 'a\n', password: 'x', targets: [origin] }],
    ['no user name', { password: 'x', targets: [origin] }],
    ['no targets', { username: 'a', password: 'x', targets: [] }],
    ['a target that is no origin', { username: 'a', password: 'x', targets: ['orders'] }],
    ['a misspelt key', { username: 'a', pasword: 'x', targets: [origin] }],
  ])('does not build with %s', (_, options) => {
    expect(() => basicCredentials(options as never)).toThrow(expect.objectContaining({ family: 'configuration' }))
  })
})
