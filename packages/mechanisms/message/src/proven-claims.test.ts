import { createHash, createHmac, generateKeyPairSync, hkdfSync, type KeyObject } from 'node:crypto'
import { guard, messageBinding, type MessageInit } from '@portcullis/core'
import { manualClock } from '@portcullis/core/testing'
import { createSigner } from '@portcullis/jwt'
import { describe, expect, it } from 'vitest'
import { batchType, sessionType, signedMessages } from './index.ts'
import { publicText, sessionKey } from './session-key.ts'

const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
const group = generateKeyPairSync('x25519')
const spki = (key: KeyObject): Buffer => key.export({ format: 'der', type: 'spki' })
const sha256 = (data: string | Buffer): string => createHash('sha256').update(data).digest('base64url')
const message: MessageInit = { address: 'kafka:orders', payload: Buffer.from('order') }
const own = { dst: 'kafka:orders', dig: sha256('order') }

function setUp() {
  const clock = manualClock()
  const signed = { iss: 'urn:shop', aud: 'warehouse', iat: clock.now() / 1_000 }
  const guarded = guard({
    authenticate: signedMessages({
      audience: 'warehouse',
      signers: [{ issuer: 'urn:shop', keys: { publicKey } }],
      maxAgeMs: 10_000,
      sessions: { groupKey: group.privateKey },
      clock,
    }),
    clock,
  })
  const consume = (envelope: string, position: string) =>
    guarded.decide({
      credentials: [{ kind: 'envelope', carrier: 'message', envelope }],
      action: 'consume',
      resource: 'orders',
      attributes: {},
      channel: { from: 'relay', protocol: 'kafka', secure: true },
      binding: messageBinding({ ...message, position }),
    })
  return { clock, signed, consume }
}

type Prove = (signed: object, claims: string) => Promise<string>

/** Proven by a batch of one. */
const inBatch: Prove = async (signed, claims) => {
  const token = await createSigner({ key: { privateKey }, typ: batchType }).sign({ ...signed, root: sha256(`\u0000${claims}`), n: 1 })
  return `${token}~${claims}~0~`
}

/** Proven by a tag. */
const inSession: Prove = async (signed, claims) => {
  const { iat } = signed as { readonly iat: number }
  const ephemeral = generateKeyPairSync('x25519')
  const handshake = { ...signed, jti: 'e', end: iat + 5, epk: publicText(ephemeral.publicKey), gk: sha256(spki(group.publicKey)) }
  const token = await createSigner({ key: { privateKey }, typ: sessionType }).sign(handshake)
  const context = { ephemeral: ephemeral.publicKey, group: group.publicKey, issuer: 'urn:shop', subject: 'urn:shop', epoch: 'e' }
  return `${token}^${claims}^${sessionKey(ephemeral.privateKey, group.publicKey, context).tag(claims)}`
}

describe.each([
  ['a batch', inBatch],
  ['a session', inSession],
])('what a message of %s says', (_, prove) => {
  const text = (iat: number, claims: object): string => JSON.stringify({ iat, ...own, ...claims })

  it('is read as strictly as a token: no two readers take it for two messages', async () => {
    const { signed, consume } = setUp()
    const sound = text(signed.iat, { jti: '1' })
    expect(await consume(await prove(signed, sound), 'orders/0/1')).toMatchObject({ outcome: 'allow' })
    for (const claims of [
      `{"dst":"kafka:refunds",${sound.slice(1)}`,
      `{"d\\u0073t":"kafka:refunds",${sound.slice(1)}`,
      `{"x":{"a":1,"a":2},${sound.slice(1)}`,
      `{"__proto__":{"hdr":[]},${sound.slice(1)}`,
      `{"x":${'['.repeat(40)}${']'.repeat(40)},${sound.slice(1)}`,
      text(signed.iat, { jti: '\\ud800' }).replace('\\\\', '\\'),
    ])
      expect(await consume(await prove(signed, claims), 'orders/0/2')).toMatchObject({ code: 'ERR_MESSAGE_CLAIM_INVALID' })
  })

  it('is ASCII: of two texts with one hash none is taken, so that none is a second message', async () => {
    const { signed, consume } = setUp()
    const envelope = await prove(signed, text(signed.iat, { jti: 'a\ufffd' }))
    expect(await consume(envelope, 'orders/0/1')).toMatchObject({ code: 'ERR_MESSAGE_CLAIM_INVALID' })
    // The same bytes to a hash, and another identifier.
    expect(await consume(envelope.replace('\ufffd', '\ud800'), 'orders/0/2')).toMatchObject({ code: 'ERR_MESSAGE_CLAIM_INVALID' })
  })
})

describe('the time of a message', () => {
  it('of a batch is that of the signature, whatever a leaf says', async () => {
    const { clock, signed, consume } = setUp()
    const iat = signed.iat + 3_600
    const envelope = await inBatch(signed, JSON.stringify({ ...own, jti: '1', iat }))
    expect(await consume(envelope, 'orders/0/1')).toMatchObject({ outcome: 'allow', principal: { claims: { iat: signed.iat } } })
    clock.advance(3_600_000)
    expect(await consume(envelope, 'orders/0/1')).toMatchObject({ code: 'ERR_MESSAGE_UNTIMELY' })
  })

  it('of a session is its own: the time of the handshake does not stand in for it', async () => {
    const { signed, consume } = setUp()
    const envelope = await inSession(signed, JSON.stringify({ ...own, jti: '1' }))
    expect(await consume(envelope, 'orders/0/1')).toMatchObject({ code: 'ERR_MESSAGE_CLAIM_INVALID' })
    for (const iat of ['1e400', '-1e400', 'null', '"1"']) {
      const claims = `{"iat":${iat},"jti":"1",${JSON.stringify(own).slice(1)}`
      expect(await consume(await inSession(signed, claims), 'orders/0/1')).toMatchObject({ outcome: 'challenge', reason: 'invalid' })
    }
  })
})

describe('a session with a public key of low order', () => {
  // RFC 7748 section 6.1: with each of these the shared secret is zero for everybody, so everybody could make the tag.
  it.each([
    '00'.repeat(32),
    `01${'00'.repeat(31)}`,
    'e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800',
    '5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157',
    `ec${'ff'.repeat(30)}7f`,
    `ed${'ff'.repeat(30)}7f`,
    `ee${'ff'.repeat(30)}7f`,
    `01${'00'.repeat(30)}80`,
  ])('is none: %s', async (point) => {
    const { signed, consume } = setUp()
    const epk = Buffer.concat([Buffer.from('302a300506032b656e032100', 'hex'), Buffer.from(point, 'hex')])
    const claims = JSON.stringify({ iat: signed.iat, jti: '1', ...own })
    const info = createHash('sha256').update('18:portcullis-session8:urn:shop8:urn:shop1:e').digest()
    const salt = Buffer.concat([epk, spki(group.publicKey)])
    const key = Buffer.from(hkdfSync('sha256', Buffer.alloc(32), salt, info, 32)).toString('base64url')
    const handshake = { ...signed, jti: 'e', end: signed.iat + 5, epk: epk.toString('base64url'), gk: sha256(spki(group.publicKey)) }
    const token = await createSigner({ key: { privateKey }, typ: sessionType }).sign(handshake)
    const tag = createHmac('sha256', key).update(claims).digest('base64url')
    expect(await consume(`${token}^${claims}^${tag}`, 'orders/0/1')).toMatchObject({ code: 'ERR_MESSAGE_SESSION' })
  })
})
