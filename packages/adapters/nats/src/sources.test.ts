import { secret } from '@portcullis/core'
import { describe, expect, it } from 'vitest'
import { nkeyCredentials, userJwtCredentials } from './index.ts'

const origin = 'tls://nats.example:4222'
const target = { origin, secure: true }
const jwt = (claims: object): string => `e30.${Buffer.from(JSON.stringify(claims)).toString('base64url')}.c2ln`
const creds = (claims: object): string =>
  `-----BEGIN NATS USER JWT-----\n${jwt(claims)}\n------END NATS USER JWT------\n\n************ IMPORTANT ************\n-----BEGIN USER NKEY SEED-----\nSUSEED\n------END USER NKEY SEED------\n`

describe('sources', () => {
  it('read a seed and a creds file, and know when the JWT ends', async () => {
    const nkey = await nkeyCredentials({ seed: async () => ' SUSEED\n', targets: [origin] })({ target })
    expect(nkey.credential.kind === 'nkey' && nkey.credential.seed.reveal()).toBe('SUSEED')
    const user = await userJwtCredentials({ creds: secret(creds({ exp: 1_800_000_000 })), targets: [origin] })({ target })
    expect(user.expiresAt).toEqual(new Date(1_800_000_000_000))
    expect(user.credential.kind === 'userJwt' && [user.credential.jwt.reveal(), user.credential.seed.reveal()]).toEqual([
      jwt({ exp: 1_800_000_000 }),
      'SUSEED',
    ])
    expect((await userJwtCredentials({ creds: creds({ exp: 0 }), targets: [origin] })({ target })).expiresAt).toBeUndefined()
  })

  it('yield nothing for another server, without TLS, or after a refusal', async () => {
    const source = nkeyCredentials({ seed: 'SUSEED', targets: [origin] })
    await expect(source({ target: { origin: 'tls://other.example:4222', secure: true } })).rejects.toMatchObject({
      code: 'ERR_SOURCE_TARGET',
    })
    await expect(source({ target: { origin, secure: false } })).rejects.toMatchObject({ code: 'ERR_SOURCE_INSECURE' })
    const { credential } = await source({ target })
    await expect(source({ target, refused: credential })).rejects.toMatchObject({ code: 'ERR_SOURCE_EXHAUSTED' })
  })

  it.each(['', 'junk', creds({}).replace('SUSEED', ''), creds({}).replace(jwt({}), 'a.b')])(
    'say that creds cannot be read, and not what they were (%#)',
    async (text) => {
      const source = userJwtCredentials({ creds: () => text, targets: [origin] })
      await expect(source({ target })).rejects.toMatchObject({
        code: 'ERR_NATS_CREDENTIAL',
        message: expect.not.stringContaining('SUSEED'),
      })
    },
  )

  it('are not made of nothing', () => {
    expect(() => nkeyCredentials({ seed: '', targets: [origin] })).toThrow(expect.objectContaining({ code: 'ERR_OPTION_MISSING' }))
    expect(() => nkeyCredentials({ seed: 'SU', targets: [] as never })).toThrow(expect.objectContaining({ code: 'ERR_OPTION_INVALID' }))
    expect(() => nkeyCredentials({ seed: 'SU', targets: [origin], sed: '' } as never)).toThrow(
      expect.objectContaining({ code: 'ERR_OPTION_UNKNOWN' }),
    )
  })
})
