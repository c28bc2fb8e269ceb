import { generateKeyPairSync } from 'node:crypto'
import { guard, messageBinding, messageCredentials, messageIdentityHeader, type MessageInit } from '@portcullis/core'
import { manualClock } from '@portcullis/core/testing'
import { describe, expect, it } from 'vitest'
import { messageSigner, signedMessages, type MessageSignerOptions, type SignedMessagesOptions } from './index.ts'

const signer = generateKeyPairSync('ec', { namedCurve: 'P-256' })
const mallory = generateKeyPairSync('ec', { namedCurve: 'P-256' })
const reader = generateKeyPairSync('x25519')
const other = generateKeyPairSync('x25519')
const target = { origin: 'kafka://broker:9094', secure: true }
const sent: MessageInit = { address: 'kafka:orders', payload: Buffer.from('{"item":1}'), position: 'orders/0/1' }

const encryption = { algorithm: 'ECDH-ES', publicKey: reader.publicKey } as const
const decryption = { keys: [{ algorithm: 'ECDH-ES', privateKey: reader.privateKey }] } as const

function setUp(producer: Partial<MessageSignerOptions> = {}, consumer: Partial<SignedMessagesOptions> = {}) {
  const clock = manualClock()
  const sign = messageSigner({
    issuer: 'urn:shop',
    key: { privateKey: signer.privateKey },
    audience: 'warehouse',
    targets: ['kafka://broker:9094'],
    encryption,
    clock,
    ...producer,
  })
  const guarded = guard({
    authenticate: signedMessages({
      audience: 'warehouse',
      signers: [{ issuer: 'urn:shop', keys: { publicKey: signer.publicKey } }],
      maxAgeMs: 10_000,
      decryption,
      clock,
      ...consumer,
    }),
    clock,
  })
  const produce = async (): Promise<string> => {
    const { credential } = await sign({ target, binding: messageBinding(sent) })
    return credential.kind === 'envelope' ? credential.envelope : ''
  }
  const consume = (envelope: string, message = sent) =>
    guarded.decide({
      credentials: messageCredentials([[messageIdentityHeader, envelope]]),
      action: 'consume',
      resource: 'orders',
      attributes: {},
      channel: { from: 'relay', protocol: 'kafka', secure: true },
      binding: messageBinding(message),
    })
  return { clock, produce, consume }
}

describe('an encrypted identity', () => {
  it('says who signed to its reader, and to nobody on the way', async () => {
    const { produce, consume } = setUp()
    const envelope = await produce()
    const seen = envelope.split('.').map((part) => Buffer.from(part, 'base64url').toString('latin1'))
    expect(seen.length).toBe(5)
    for (const secretly of ['urn:shop', 'warehouse', 'kafka:orders']) expect(seen.join()).not.toContain(secretly)
    expect(await consume(envelope)).toMatchObject({ outcome: 'allow', principal: { issuer: 'urn:shop', subject: 'urn:shop' } })
  })

  it('proves what any other does, and no more: encryption to a public key says nothing of the sender', async () => {
    const { clock, produce, consume } = setUp()
    const envelope = await produce()
    expect(await consume(envelope)).toMatchObject({ outcome: 'allow' })
    expect(await consume(envelope, { ...sent, payload: Buffer.from('{"item":2}') })).toMatchObject({ code: 'ERR_MESSAGE_PAYLOAD' })
    expect(await consume(envelope, { ...sent, address: 'kafka:refunds' })).toMatchObject({ code: 'ERR_MESSAGE_ADDRESS' })
    expect(await consume(envelope, { ...sent, position: 'orders/0/2' })).toMatchObject({ code: 'ERR_MESSAGE_REPLAYED' })
    const late = await produce()
    clock.advance(10_001)
    expect(await consume(late)).toMatchObject({ code: 'ERR_MESSAGE_UNTIMELY' })
    const forged = setUp({ key: { privateKey: mallory.privateKey } })
    expect(await forged.consume(await forged.produce())).toMatchObject({ code: 'ERR_JWT_SIGNATURE_INVALID' })
    const elsewhere = setUp({ audience: 'billing' })
    expect(await elsewhere.consume(await elsewhere.produce())).toMatchObject({ code: 'ERR_JWT_AUDIENCE_UNEXPECTED' })
  })

  it('is refused where it is not opened, by another key, and after a change', async () => {
    const { produce, consume } = setUp()
    const envelope = await produce()
    const stranger = setUp({}, { decryption: { keys: [{ algorithm: 'ECDH-ES', privateKey: other.privateKey }] } })
    expect(await stranger.consume(envelope)).toMatchObject({ outcome: 'challenge', code: 'ERR_JWT_DECRYPTION_FAILED' })
    const closed = setUp({}, { decryption: undefined as never })
    expect(await closed.consume(envelope)).toMatchObject({ outcome: 'challenge', code: 'ERR_JWT_MALFORMED' })
    const [header = '', key = '', iv = '', text = '', tag = ''] = envelope.split('.')
    const changed = [header, key, iv, `${text.startsWith('A') ? 'B' : 'A'}${text.slice(1)}`, tag].join('.')
    expect(await consume(changed)).toMatchObject({ outcome: 'challenge', code: 'ERR_JWT_DECRYPTION_FAILED' })
  })

  it('is not made with a profile, nor for a key that cannot be encrypted to', () => {
    expect(() => setUp({ profile: { batch: {} } })).toThrow(expect.objectContaining({ code: 'ERR_OPTION_INVALID' }))
    expect(() => setUp({ encryption: { algorithm: 'ECDH-ES', publicKey: generateKeyPairSync('ed25519').publicKey } })).toThrow(
      expect.objectContaining({ family: 'configuration' }),
    )
    for (const none of [{}, undefined])
      expect(() => setUp({ encryption: none as never })).toThrow(expect.objectContaining({ family: 'configuration' }))
    expect(() => setUp({}, { decryption: { keys: [] as never } })).toThrow(expect.objectContaining({ code: 'ERR_OPTION_INVALID' }))
  })
})
