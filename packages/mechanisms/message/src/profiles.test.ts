import { createHash, createHmac, diffieHellman, generateKeyPairSync, hkdfSync, type KeyObject } from 'node:crypto'
import { guard, messageBinding, type AccessRequest, type MessageInit } from '@portcullis/core'
import { manualClock } from '@portcullis/core/testing'
import { createSigner, keySet, type KeySet, type LocalKeys } from '@portcullis/jwt'
import { describe, expect, it } from 'vitest'
import { batchType, messageSigner, sessionType, signedMessages, type MessageSignerOptions, type SignedMessagesOptions } from './index.ts'
import { maxBatch, merkleTree } from './merkle.ts'
import { maxRemembered } from './signed-once.ts'

const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
const mallory = generateKeyPairSync('ec', { namedCurve: 'P-256' })
const group = generateKeyPairSync('x25519')
const otherGroup = generateKeyPairSync('x25519')
const target = { origin: 'kafka://broker:9094', secure: true }
const messageOf = (at: number): MessageInit => ({
  address: 'kafka:orders',
  payload: Buffer.from(`order ${at}`),
  key: Buffer.from(`k${at}`),
  position: `orders/0/${at}`,
})

function setUp(producer: Partial<MessageSignerOptions>, consumer: Partial<SignedMessagesOptions> = {}) {
  const clock = manualClock()
  const sign = messageSigner({
    issuer: 'urn:shop',
    key: { privateKey },
    audience: 'warehouse',
    targets: ['kafka://broker:9094'],
    clock,
    ...producer,
  })
  const guarded = guard({
    authenticate: signedMessages({
      audience: 'warehouse',
      signers: [{ issuer: 'urn:shop', keys: { publicKey } }],
      maxAgeMs: 10_000,
      clock,
      ...consumer,
    }),
    clock,
  })
  const produce = async (message: MessageInit): Promise<string> => {
    const { credential } = await sign({ target, binding: messageBinding(message) })
    return credential.kind === 'envelope' ? credential.envelope : ''
  }
  const consume = (envelope: string, message: MessageInit) => guarded.decide(requestOf(envelope, message))
  return { clock, produce, consume }
}

function requestOf(envelope: string, message: MessageInit): AccessRequest {
  return {
    credentials: [{ kind: 'envelope', carrier: 'message', envelope }],
    action: 'consume',
    resource: 'orders',
    attributes: {},
    channel: { from: 'relay', protocol: 'kafka', secure: true },
    binding: messageBinding(message),
  }
}

/** What a leaf says of message 0. */
const soundLeaf = {
  jti: '1',
  dst: 'kafka:orders',
  dig: createHash('sha256').update('order 0').digest('base64url'),
  kdg: createHash('sha256').update(Buffer.from('k0').toString('base64url')).digest('base64url'),
}

describe('batches', () => {
  it('sign many messages at once, each of which is proven by itself', async () => {
    const { produce, consume } = setUp({ profile: { batch: {} } })
    const messages = Array.from({ length: maxBatch }, (_, at) => messageOf(at))
    const envelopes = await Promise.all(messages.map(produce))
    expect(new Set(envelopes.map((text) => text.split('~')[0])).size).toBe(1)
    for (const [at, envelope] of envelopes.entries())
      expect(await consume(envelope, messageOf(at))).toMatchObject({
        outcome: 'allow',
        principal: { issuer: 'urn:shop', subject: 'urn:shop' },
      })
  })

  it('sign what there is when the time is over', async () => {
    const { clock, produce, consume } = setUp({ profile: { batch: { maxDelayMs: 20 } } })
    const three = Promise.all([0, 1, 2].map((at) => produce(messageOf(at))))
    await clock.advanceAsync(20)
    for (const [at, envelope] of (await three).entries()) expect(await consume(envelope, messageOf(at))).toMatchObject({ outcome: 'allow' })
  })

  it('do not lend their signature to anything else', async () => {
    const { produce, consume } = setUp({ profile: { batch: { maxMessages: 4 } } })
    const [first = '', second = ''] = await Promise.all([0, 1, 2, 3].map((at) => produce(messageOf(at))))
    const [token, leaf, index, path] = first.split('~')
    const [, otherLeaf, , otherPath] = second.split('~')
    const forged = JSON.stringify({ ...JSON.parse(leaf ?? ''), dst: 'kafka:refunds' })
    const cases: [string, MessageInit, string][] = [
      [first, messageOf(1), 'ERR_MESSAGE_PAYLOAD'],
      [`${token}~${forged}~${index}~${path}`, { ...messageOf(0), address: 'kafka:refunds' }, 'ERR_MESSAGE_BATCH'],
      [`${token}~${otherLeaf}~${index}~${path}`, messageOf(1), 'ERR_MESSAGE_BATCH'],
      [`${token}~${leaf}~1~${otherPath}`, messageOf(0), 'ERR_MESSAGE_BATCH'],
      [`${token}~${leaf}~00~${path}`, messageOf(0), 'ERR_MESSAGE_CLAIM_INVALID'],
      [`${token}~${leaf}~~${path}`, messageOf(0), 'ERR_MESSAGE_CLAIM_INVALID'],
      [`${token}~${leaf}~+0~${path}`, messageOf(0), 'ERR_MESSAGE_CLAIM_INVALID'],
      [`${token}~${leaf}~-0~${path}`, messageOf(0), 'ERR_MESSAGE_CLAIM_INVALID'],
      [`${token}~${leaf}~-1~${path}`, messageOf(0), 'ERR_MESSAGE_BATCH'],
      [`${token}~${leaf}~NaN~${path}`, messageOf(0), 'ERR_MESSAGE_BATCH'],
      [`${token}~${leaf}~${index}`, messageOf(0), 'ERR_MESSAGE_CLAIM_INVALID'],
      [`${first}~`, messageOf(0), 'ERR_MESSAGE_CLAIM_INVALID'],
      [`${first}~x~y`, messageOf(0), 'ERR_MESSAGE_CLAIM_INVALID'],
      [`${token}`, messageOf(0), 'ERR_JWT_TYPE_UNEXPECTED'],
      [`${token}~${'a'.repeat(20_000)}~0~`, messageOf(0), 'ERR_MESSAGE_CLAIM_INVALID'],
    ]
    for (const [envelope, message, code] of cases) expect(await consume(envelope, message)).toMatchObject({ outcome: 'challenge', code })
    const foreign = setUp({ profile: { batch: { maxMessages: 1 } }, key: { privateKey: mallory.privateKey } })
    expect(await foreign.consume(await foreign.produce(messageOf(0)), messageOf(0))).toMatchObject({ code: 'ERR_JWT_SIGNATURE_INVALID' })
  })

  it('name the signer in the signature, whatever a leaf says', async () => {
    const signer = createSigner({ key: { privateKey }, typ: batchType })
    const { clock, consume } = setUp({})
    const leaf = JSON.stringify({ ...soundLeaf, iss: 'urn:other', sub: 'root', aud: 'elsewhere' })
    const { root } = merkleTree([leaf])
    const token = await signer.sign({ iss: 'urn:shop', aud: 'warehouse', iat: clock.now() / 1_000, root, n: 1 })
    expect(await consume(`${token}~${leaf}~0~`, messageOf(0))).toMatchObject({
      outcome: 'allow',
      principal: { issuer: 'urn:shop', subject: 'urn:shop' },
    })
  })

  it.each([{ n: 0 }, { n: -1 }, { n: maxBatch + 1 }, { n: 1.5 }, { n: '1' }, { n: undefined }, { root: 5 }, { root: undefined }])(
    'are none whose signature says %o',
    async (said) => {
      const { clock, consume } = setUp({})
      const leaf = JSON.stringify(soundLeaf)
      const token = await createSigner({ key: { privateKey }, typ: batchType }).sign({
        iss: 'urn:shop',
        aud: 'warehouse',
        iat: clock.now() / 1_000,
        root: merkleTree([leaf]).root,
        n: 1,
        ...said,
      })
      expect(await consume(`${token}~${leaf}~0~`, messageOf(0))).toMatchObject({ outcome: 'challenge', code: 'ERR_MESSAGE_CLAIM_INVALID' })
    },
  )

  it('are replayed or not message by message', async () => {
    const { produce, consume } = setUp({ profile: { batch: { maxMessages: 2 } } })
    const [first = '', second = ''] = await Promise.all([0, 1].map((at) => produce(messageOf(at))))
    expect(await consume(first, messageOf(0))).toMatchObject({ outcome: 'allow' })
    expect(await consume(second, messageOf(1))).toMatchObject({ outcome: 'allow' })
    expect(await consume(first, { ...messageOf(0), position: 'orders/0/9' })).toMatchObject({ code: 'ERR_MESSAGE_REPLAYED' })
  })
})

/** Keys, with how often a signature was verified by them. */
function countedKeys(keys: LocalKeys = { publicKey }) {
  const set = keySet(keys)
  const counted = { verified: 0, replace: set.replace.bind(set) }
  const find: KeySet['find'] = (keyId, algorithm) => {
    counted.verified++
    return set.find(keyId, algorithm)
  }
  return Object.assign(counted, { signers: [{ issuer: 'urn:shop', keys: { find } }] as const })
}

describe.each<[string, Partial<MessageSignerOptions>, Partial<MessageSignerOptions>, Partial<SignedMessagesOptions>]>([
  ['batches', { profile: { batch: {} } }, { profile: { batch: { maxMessages: 1 } } }, {}],
  ['sessions', { profile: { session: { groupKey: group.publicKey } } }, {}, { sessions: { groupKey: group.privateKey } }],
])('one signature for many: %s', (_, producer, alone, consumer) => {
  const messages = Array.from({ length: maxBatch }, (__, at) => messageOf(at))

  it.each([undefined, 'eventLoop' as const])('is verified once, on %s', async (verifyOn) => {
    const keys = countedKeys()
    const { produce, consume } = setUp(producer, { ...consumer, signers: keys.signers, ...(verifyOn && { verifyOn }) })
    const envelopes = await Promise.all(messages.map(produce))
    const decisions = await Promise.all(envelopes.map(async (envelope, at) => consume(envelope, messageOf(at))))
    expect(decisions.every(({ outcome }) => outcome === 'allow')).toBe(true)
    expect(keys.verified).toBe(1)
    // Remembered, so that nothing is awaited.
    expect(consume(envelopes[0] ?? '', messageOf(0))).not.toBeInstanceOf(Promise)
  })

  it('counts no longer once its key has left the set', async () => {
    const keys = countedKeys()
    const { produce, consume } = setUp(producer, { ...consumer, signers: keys.signers })
    const [first = '', second = ''] = await Promise.all(messages.map(produce))
    expect(await consume(first, messageOf(0))).toMatchObject({ outcome: 'allow' })
    keys.replace({ publicKey: mallory.publicKey })
    expect(await consume(second, messageOf(1))).toMatchObject({ outcome: 'challenge', code: 'ERR_JWT_SIGNATURE_INVALID' })
    keys.replace({ publicKey })
    expect(await consume(second, messageOf(1))).toMatchObject({ outcome: 'allow' })
  })

  it('is forgotten when many others came, and verified again', async () => {
    const keys = countedKeys()
    const { produce, consume } = setUp(producer, { ...consumer, signers: keys.signers, verifyOn: 'eventLoop' })
    const [first = '', second = ''] = await Promise.all(messages.map(produce))
    expect(await consume(first, messageOf(0))).toMatchObject({ outcome: 'allow' })
    const mark = first.includes('~') ? '~' : '^'
    const sign = createSigner({ key: { privateKey }, typ: mark === '~' ? batchType : sessionType })
    for (let at = 0; at < maxRemembered; at++)
      expect(
        await consume(`${await sign.sign({ iss: 'urn:shop', aud: 'warehouse', jti: `${at}` })}${mark}{}${mark}0`, messageOf(0)),
      ).toMatchObject({ outcome: 'challenge' })
    expect(await consume(second, messageOf(1))).toMatchObject({ outcome: 'allow' })
    expect(keys.verified).toBe(1 + maxRemembered + 1)
    // What is refused takes nobody's place.
    for (let at = 0; at < 10; at++) {
      const forged = createSigner({ key: { privateKey: mallory.privateKey }, typ: batchType })
      await consume(`${await forged.sign({ iss: 'urn:shop', aud: 'warehouse', jti: `${at}` })}${mark}{}${mark}0`, messageOf(0))
    }
    expect(consume(second, messageOf(1))).toMatchObject({ outcome: 'allow' })
  })

  it('is not found by the end of another text', async () => {
    const { produce, consume } = setUp({ ...producer, ...alone }, consumer)
    const envelope = await produce(messageOf(0))
    expect(await consume(envelope, messageOf(0))).toMatchObject({ outcome: 'allow' })
    const [header = '', payload = '', ...rest] = envelope.split('.')
    const other = Buffer.from(JSON.stringify({ ...JSON.parse(Buffer.from(payload, 'base64url').toString()), aud: 'billing' })).toString(
      'base64url',
    )
    expect(await consume([header, other, ...rest].join('.'), messageOf(0))).toMatchObject({ code: 'ERR_JWT_AUDIENCE_UNEXPECTED' })
    expect(await consume(`x${envelope}`, messageOf(0))).toMatchObject({ outcome: 'challenge' })
    expect(await consume(envelope.slice(1), messageOf(0))).toMatchObject({ outcome: 'challenge' })
  })

  it('takes identifiers, addresses and header names of any characters, and stands in a header as it is', async () => {
    const odd = 'a ~^"\\{}\u0000\u007f é \u2028 😀'
    const message: MessageInit = { ...messageOf(0), id: odd, address: `kafka:${odd}`, headers: [[odd, odd]] }
    const { produce, consume } = setUp({ ...producer, ...alone, headers: [odd] }, { ...consumer, signedHeaders: [odd] })
    const envelope = await produce(message)
    expect(envelope).toMatch(/^[\x21-\x7e]+$/)
    expect(await consume(envelope, message)).toMatchObject({
      outcome: 'allow',
      principal: { claims: { jti: odd, dst: `kafka:${odd}`, hdr: [odd] } },
    })
    expect(await consume(envelope, { ...message, id: `${odd} ` })).toMatchObject({ code: 'ERR_MESSAGE_ID' })
  })

  it.each(['', '5', 'null', '[]', '"a"', '{', '{}', '{"jti":1}', 'e30'])('refuses claims %s, though they are proven', async (claims) => {
    const { clock, consume } = setUp({}, consumer)
    const envelope = await (consumer.sessions === undefined ? batchOf(claims, clock.now()) : sessionOf(claims, clock.now()))
    expect(await consume(envelope, messageOf(0))).toMatchObject({ outcome: 'challenge', code: 'ERR_MESSAGE_CLAIM_INVALID' })
  })
})

/** A batch of one, made without the signer of messages. */
async function batchOf(claims: string, now: number): Promise<string> {
  const root = createHash('sha256').update(`\u0000${claims}`).digest('base64url')
  const signer = createSigner({ key: { privateKey }, typ: batchType })
  return `${await signer.sign({ iss: 'urn:shop', aud: 'warehouse', iat: now / 1_000, root, n: 1 })}~${claims}~0~`
}

/** A session message as ADR 9 has it, made with node:crypto alone. */
async function sessionOf(claims: string, now: number, seconds = 5): Promise<string> {
  const spki = (key: KeyObject): Buffer => key.export({ format: 'der', type: 'spki' })
  const sha256 = (data: string | Buffer): Buffer => createHash('sha256').update(data).digest()
  const ephemeral = generateKeyPairSync('x25519')
  const epk = spki(ephemeral.publicKey)
  const signer = createSigner({ key: { privateKey }, typ: sessionType })
  const handshake = await signer.sign({
    iss: 'urn:shop',
    aud: 'warehouse',
    jti: 'epoch',
    iat: now / 1_000,
    end: now / 1_000 + seconds,
    epk: epk.toString('base64url'),
    gk: sha256(spki(group.publicKey)).toString('base64url'),
  })
  const secret = diffieHellman({ privateKey: ephemeral.privateKey, publicKey: group.publicKey })
  const info = sha256('18:portcullis-session8:urn:shop8:urn:shop5:epoch')
  const key = Buffer.from(hkdfSync('sha256', secret, Buffer.concat([epk, spki(group.publicKey)]), info, 32)).toString('base64url')
  return `${handshake}^${claims}^${createHmac('sha256', key).update(claims).digest('base64url')}`
}

describe('MAC sessions', () => {
  const profile = { session: { groupKey: group.publicKey, epochMs: 5_000 } }
  const sessions = { groupKey: group.privateKey }

  it('cost one signature per epoch', async () => {
    const { clock, produce, consume } = setUp({ profile }, { sessions })
    const early = await Promise.all([0, 1, 2].map((at) => produce(messageOf(at))))
    clock.advance(5_000)
    const late = await produce(messageOf(3))
    expect(new Set([...early, late].map((text) => text.split('^')[0])).size).toBe(2)
    for (const [at, envelope] of [...early, late].entries())
      expect(await consume(envelope, messageOf(at))).toMatchObject({ outcome: 'allow', principal: { issuer: 'urn:shop' } })
  })

  it('are refused where they were not named, by another group, and after a change of anything', async () => {
    const { produce, consume } = setUp({ profile }, { sessions })
    const envelope = await produce(messageOf(0))
    const [handshake = '', claims = '', tag = ''] = envelope.split('^')
    const forged = JSON.stringify({ ...JSON.parse(claims), dst: 'kafka:refunds' })
    const other = (await setUp({ profile }, { sessions }).produce(messageOf(0))).split('^')[0]
    for (const changed of [
      `${handshake}^${forged}^${tag}`,
      `${handshake}^${claims}^${tag.slice(0, -4)}`,
      `${handshake}^${claims}^`,
      `${handshake}^${claims}`,
      `${handshake}^${claims}^${tag}^x`,
      `${other}^${claims}^${tag}`,
    ]) {
      expect(await consume(changed, messageOf(0))).toMatchObject({ outcome: 'challenge', code: 'ERR_MESSAGE_SESSION' })
    }
    expect(await consume(handshake, messageOf(0))).toMatchObject({ code: 'ERR_JWT_TYPE_UNEXPECTED' })
    const plain = setUp({ profile })
    expect(await plain.consume(await plain.produce(messageOf(0)), messageOf(0))).toMatchObject({ code: 'ERR_MESSAGE_SESSION' })
    const elsewhere = setUp({ profile }, { sessions: { groupKey: otherGroup.privateKey } })
    expect(await elsewhere.consume(await elsewhere.produce(messageOf(0)), messageOf(0))).toMatchObject({ code: 'ERR_MESSAGE_SESSION' })
    const foreign = setUp({ profile, key: { privateKey: mallory.privateKey } }, { sessions })
    expect(await foreign.consume(await foreign.produce(messageOf(0)), messageOf(0))).toMatchObject({ code: 'ERR_JWT_SIGNATURE_INVALID' })
  })

  it('do not outlive their epoch, and take no unsound handshake', async () => {
    const { clock, consume } = setUp({}, { sessions, maxAgeMs: 80_000_000 })
    const signer = createSigner({ key: { privateKey }, typ: sessionType })
    const base = { iss: 'urn:shop', aud: 'warehouse', jti: 'e', iat: clock.now() / 1_000, end: clock.now() / 1_000 + 5 }
    for (const change of [
      {},
      { epk: 5 },
      { epk: 'x' },
      { epk: publicKey.export({ format: 'der', type: 'spki' }).toString('base64url') },
      { epk: `MCowBQYDK2VuAyEA${'A'.repeat(43)}` },
    ]) {
      const gk = createHash('sha256')
        .update(group.publicKey.export({ format: 'der', type: 'spki' }))
        .digest('base64url')
      expect(await consume(`${await signer.sign({ ...base, gk, ...change })}^e30^AAAA`, messageOf(0))).toMatchObject({
        code: 'ERR_MESSAGE_SESSION',
      })
    }
  })

  it('are what ADR 9 says, and judge the time of a message by their epoch', async () => {
    const { clock, consume } = setUp({}, { sessions, maxAgeMs: 80_000_000 })
    const now = clock.now()
    const sha256 = (text: string): string => createHash('sha256').update(text).digest('base64url')
    const own = { jti: '1', dst: 'kafka:orders', dig: sha256('order 0'), kdg: sha256(Buffer.from('k0').toString('base64url')) }
    const at = (seconds: number): string => JSON.stringify({ ...own, jti: `${seconds}`, iat: now / 1_000 + seconds })
    clock.advance(20_000)
    for (const seconds of [-1, 0, 5])
      expect(await consume(await sessionOf(at(seconds), now), messageOf(0))).toMatchObject({ outcome: 'allow' })
    for (const seconds of [-1.001, 5.001, 15])
      expect(await consume(await sessionOf(at(seconds), now), messageOf(0))).toMatchObject({ code: 'ERR_MESSAGE_SESSION' })
  })

  it.each([
    { batch: {}, session: { groupKey: group.publicKey } },
    {},
    { batch: { maxMessages: 65 } },
    { batch: { maxMessages: 0 } },
    { session: { groupKey: group.privateKey } },
    { session: { groupKey: publicKey } },
    { session: { groupKey: group.publicKey, epochMs: 3_600_001 } },
    { batches: {} },
  ])('is not made with profile %o', (wrong) => {
    expect(() => setUp({ profile: wrong as never })).toThrow(expect.objectContaining({ family: 'configuration' }))
  })

  it("takes only a private X25519 key as the group's", () => {
    expect(() => setUp({}, { sessions: { groupKey: group.publicKey } })).toThrow(expect.objectContaining({ code: 'ERR_OPTION_INVALID' }))
  })
})
