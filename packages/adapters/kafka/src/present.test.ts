import { secret, UnavailableError, type Credential, type CredentialSource } from '@portcullis/core'
import { manualClock } from '@portcullis/core/testing'
import { describe, expect, it } from 'vitest'
import { refusedForMs, SaslClient, type SaslMechanism, type SaslOptions } from './present.ts'

const basic = (password: string): Credential => ({ kind: 'basic', carrier: 'sasl', username: 'alice', password: secret(password) })
const bearer = (token: string): Credential => ({ kind: 'bearer', carrier: 'sasl', token: secret(token) })
const origin = 'kafka://broker:9094'
const refusal = new Error('refused')

function setUp(mechanism: SaslMechanism, credential: () => Credential, options: Partial<SaslOptions> = {}) {
  const clock = manualClock()
  const asked: Parameters<CredentialSource>[0][] = []
  const source: CredentialSource = (request) => {
    asked.push(request)
    return { credential: credential() }
  }
  const client = new SaslClient({ mechanism, source, origin, clock, ...options })
  const sent: string[] = []
  const authenticate = (answer: string | Error = '', secure = true) =>
    client.authenticate(
      secure,
      async (message) => {
        sent.push(String(message))
        if (answer instanceof Error) throw answer
        return Buffer.from(answer)
      },
      (error) => error === refusal,
    )
  return { clock, asked, sent, authenticate }
}

describe('what is presented', () => {
  it('is asked for at every authentication, for the cluster, and written as the mechanism says', async () => {
    let count = 0
    const plain = setUp('PLAIN', () => basic(`p${count++}`))
    await plain.authenticate()
    await plain.authenticate()
    expect(plain.sent).toEqual(['\0alice\0p0', '\0alice\0p1'])
    expect(plain.asked).toMatchObject([{ target: { origin, secure: true, shared: true } }, { target: { origin } }])
    const token = setUp('OAUTHBEARER', () => bearer('a.b-c'), { extensions: { logicalCluster: 'lkc-1', pool: 'p' } })
    await token.authenticate()
    expect(token.sent).toEqual(['n,,\u0001auth=Bearer a.b-c\u0001logicalCluster=lkc-1\u0001pool=p\u0001\u0001'])
  })

  it('is nothing over a connection without TLS', async () => {
    const { asked, sent, authenticate } = setUp('PLAIN', () => basic('p'))
    await expect(authenticate('', false)).rejects.toMatchObject({ code: 'ERR_KAFKA_INSECURE' })
    expect([asked, sent]).toEqual([[], []])
  })

  it.each<[SaslMechanism, Credential]>([
    ['PLAIN', bearer('t')],
    ['SCRAM-SHA-256', bearer('t')],
    ['OAUTHBEARER', basic('p')],
    ['PLAIN', basic('p\0q')],
    ['OAUTHBEARER', bearer('t\u0001logicalCluster=other')],
    ['OAUTHBEARER', bearer('')],
  ])('is nothing where %s has no form for it (%#)', async (mechanism, credential) => {
    const { sent, authenticate } = setUp(mechanism, () => credential)
    await expect(authenticate()).rejects.toMatchObject({ code: 'ERR_KAFKA_CREDENTIAL' })
    expect(sent).toEqual([])
  })

  it('once refused is told to the source, and not sent again for a while', async () => {
    let password = 'old'
    const { clock, asked, sent, authenticate } = setUp('PLAIN', () => basic(password))
    await expect(authenticate(refusal)).rejects.toMatchObject({ code: 'ERR_KAFKA_CREDENTIAL_REFUSED', cause: refusal })
    await expect(authenticate()).rejects.toMatchObject({ code: 'ERR_KAFKA_CREDENTIAL_REFUSED' })
    expect(sent).toHaveLength(1)
    expect(asked[1]).toMatchObject({ refused: basic('old') })
    password = 'new'
    await authenticate()
    password = 'old'
    await authenticate()
    expect(sent.slice(1)).toEqual(['\0alice\0new', '\0alice\0old'])
    await expect(authenticate(refusal)).rejects.toMatchObject({ code: 'ERR_KAFKA_CREDENTIAL_REFUSED' })
    clock.advance(refusedForMs)
    await authenticate()
  })

  it('is as good as before after an outage', async () => {
    const { sent, authenticate } = setUp('PLAIN', () => basic('p'))
    await expect(authenticate(new Error('reset'))).rejects.toThrow('reset')
    await authenticate()
    expect(sent).toHaveLength(2)
    const down = setUp('PLAIN', () => {
      throw new UnavailableError('ERR_ISSUER', 'down')
    })
    await expect(down.authenticate()).rejects.toMatchObject({ code: 'ERR_ISSUER' })
  })

  it('counts as refused where a broker answers a token with more than nothing (RFC 7628 section 3.2.3)', async () => {
    const { sent, authenticate } = setUp('OAUTHBEARER', () => bearer('t'))
    await expect(authenticate('{"status":"invalid_token"}')).rejects.toMatchObject({ code: 'ERR_KAFKA_CREDENTIAL_REFUSED' })
    expect(sent.at(-1)).toBe('\u0001')
  })

  it.each([
    { mechanism: 'GSSAPI' },
    { mechanism: 'toString' },
    { source: undefined },
    { origin: '' },
    { mechanism: 'PLAIN', extensions: { a: 'b' } },
    { extensions: { auth: 'x' } },
    { extensions: { 'a=b': 'x' } },
    { extensions: { a: 'x\u0001auth=Bearer y' } },
    { extension: {} },
  ])('is not made with %o', (change) => {
    const sound = { mechanism: 'OAUTHBEARER', source: () => ({ credential: bearer('t') }), origin }
    expect(() => new SaslClient({ ...sound, ...change } as never)).toThrow(expect.objectContaining({ family: 'configuration' }))
  })
})
