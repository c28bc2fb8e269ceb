import { createHash, generateKeyPairSync } from 'node:crypto'
import { guard, messageBinding, type AccessRequest, type MessageInit } from '@portcullis/core'
import { manualClock } from '@portcullis/core/testing'
import { createSigner } from '@portcullis/jwt'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { batchType, messageSigner, sessionType, signedMessages, type MessageSignerOptions, type SignedMessagesOptions } from './index.ts'
import { maxBatch, merkleTree, rootOf } from './merkle.ts'

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

describe('Merkle trees', () => {
  it('give every leaf one proof, of any number of leaves', () => {
    fc.assert(
      fc.property(fc.array(fc.base64String({ minLength: 1, maxLength: 20 }), { minLength: 1, maxLength: maxBatch }), (leaves) => {
        const { root, paths } = merkleTree(leaves)
        leaves.forEach((leaf, at) => {
          const path = paths[at] ?? ''
          expect(rootOf(leaf, at, leaves.length, path)).toBe(root)
          expect(rootOf(`${leaf}x`, at, leaves.length, path)).not.toBe(root)
          expect(rootOf(leaf, at, leaves.length, `${path}AAAA`)).not.toBe(root)
          if (path !== '') expect(rootOf(leaf, at, leaves.length, path.slice(0, -43))).not.toBe(root)
        })
      }),
      { numRuns: 100 },
    )
  })

  it('do not take an inner node for a leaf, a place that is none, or more leaves than a batch has', () => {
    const { root, paths } = merkleTree(['a', 'b', 'c', 'd'])
    const hash = (text: string): string => createHash('sha256').update(text, 'latin1').digest().toString('latin1')
    const inner = `${hash('\u0000a')}${hash('\u0000b')}`
    expect(rootOf(inner, 0, 2, (paths[2] ?? '').slice(43))).not.toBe(root)
    for (const [index, count] of [
      [4, 4],
      [-1, 4],
      [0.5, 4],
      [Number.NaN, 4],
      [0, 0],
      [0, 65],
      [0, Number.NaN],
    ] as const)
      expect(rootOf('a', index, count, paths[0] ?? '')).toBe(undefined)
  })
})

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
    const forged = Buffer.from(
      JSON.stringify({ ...JSON.parse(Buffer.from(leaf ?? '', 'base64url').toString()), dst: 'kafka:refunds' }),
    ).toString('base64url')
    const cases: [string, MessageInit, string][] = [
      [first, messageOf(1), 'ERR_MESSAGE_PAYLOAD'],
      [`${token}~${forged}~${index}~${path}`, { ...messageOf(0), address: 'kafka:refunds' }, 'ERR_MESSAGE_BATCH'],
      [`${token}~${otherLeaf}~${index}~${path}`, messageOf(1), 'ERR_MESSAGE_BATCH'],
      [`${token}~${leaf}~1~${otherPath}`, messageOf(0), 'ERR_MESSAGE_BATCH'],
      [`${token}~${leaf}~00~${path}`, messageOf(0), 'ERR_MESSAGE_CLAIM_INVALID'],
      [`${token}~${leaf}~${index}`, messageOf(0), 'ERR_MESSAGE_CLAIM_INVALID'],
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
    const leaf = Buffer.from(
      JSON.stringify({
        jti: '1',
        iss: 'urn:other',
        sub: 'root',
        aud: 'elsewhere',
        dst: 'kafka:orders',
        dig: createHash('sha256').update('order 0').digest('base64url'),
        kdg: createHash('sha256').update(Buffer.from('k0').toString('base64url')).digest('base64url'),
      }),
    ).toString('base64url')
    const { root } = merkleTree([leaf])
    const token = await signer.sign({ iss: 'urn:shop', aud: 'warehouse', iat: clock.now() / 1_000, root, n: 1 })
    expect(await consume(`${token}~${leaf}~0~`, messageOf(0))).toMatchObject({
      outcome: 'allow',
      principal: { issuer: 'urn:shop', subject: 'urn:shop' },
    })
  })

  it('are replayed or not message by message', async () => {
    const { produce, consume } = setUp({ profile: { batch: { maxMessages: 2 } } })
    const [first = '', second = ''] = await Promise.all([0, 1].map((at) => produce(messageOf(at))))
    expect(await consume(first, messageOf(0))).toMatchObject({ outcome: 'allow' })
    expect(await consume(second, messageOf(1))).toMatchObject({ outcome: 'allow' })
    expect(await consume(first, { ...messageOf(0), position: 'orders/0/9' })).toMatchObject({ code: 'ERR_MESSAGE_REPLAYED' })
  })
})

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
    const forged = Buffer.from(
      JSON.stringify({ ...JSON.parse(Buffer.from(claims, 'base64url').toString()), dst: 'kafka:refunds' }),
    ).toString('base64url')
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
