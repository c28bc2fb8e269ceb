import { generateKeyPairSync, type KeyObject } from 'node:crypto'
import { guard, messageBinding, scope, type AccessRequest, type MessageInit } from '@portcullis/core'
import { manualClock } from '@portcullis/core/testing'
import { createSigner, issue, jwt } from '@portcullis/jwt'
import { describe, expect, it } from 'vitest'
import {
  envelopeType,
  messageMemory,
  messageSigner,
  signedMessages,
  type MessageMemory,
  type MessageSignerOptions,
  type SignedMessagesOptions,
} from './index.ts'

const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
const other = generateKeyPairSync('ec', { namedCurve: 'P-256' })
const target = { origin: 'kafka://broker:9094', secure: true }
const sent: MessageInit = {
  address: 'kafka:orders',
  payload: Buffer.from('{"item":1}'),
  key: Buffer.from('k1'),
  headers: [
    ['trace', 't1'],
    ['tenant', 'acme'],
  ],
}

function setUp(
  consumer: Partial<SignedMessagesOptions> & { readonly maxEntries?: number } = {},
  producer: Partial<MessageSignerOptions> = {},
) {
  const clock = manualClock()
  const { maxEntries, ...options } = consumer
  const sign = messageSigner({
    issuer: 'urn:shop',
    key: { privateKey },
    audience: 'warehouse',
    headers: ['tenant'],
    targets: ['kafka://broker:9094'],
    clock,
    ...producer,
  })
  const authenticate = signedMessages({
    audience: 'warehouse',
    signers: [{ issuer: 'urn:shop', keys: { publicKey }, scopes: ['orders:publish'] }],
    maxAgeMs: 10_000,
    maxTransitMs: 10_000,
    clock,
    ...(maxEntries !== undefined && { memory: messageMemory({ maxEntries, clock }) }),
    ...options,
  })
  const guarded = guard({ authenticate, authorize: scope('orders:publish'), clock })
  const produce = async (message: MessageInit = sent): Promise<string> => {
    const { credential } = await sign({ target, binding: messageBinding(message) })
    if (credential.kind !== 'envelope') throw new Error('no envelope')
    return credential.envelope
  }
  const consume = (envelope: string, message: MessageInit = sent) => guarded.decide(received(envelope, message))
  return { clock, produce, consume, guarded }
}

function received(envelope: string, message: MessageInit): AccessRequest {
  return {
    credentials: [{ kind: 'envelope', carrier: 'message', envelope }],
    action: 'consume',
    resource: 'orders',
    attributes: {},
    channel: { from: 'relay', protocol: 'kafka', secure: true },
    binding: messageBinding(message),
  }
}

describe('signedMessages', () => {
  it('proves the signer of a message that is as it was sent', async () => {
    const { produce, consume } = setUp()
    expect(await consume(await produce())).toMatchObject({ outcome: 'allow', principal: { issuer: 'urn:shop', subject: 'urn:shop' } })
  })

  it.each<[string, Partial<MessageInit>, string]>([
    ['another topic', { address: 'kafka:refunds' }, 'ERR_MESSAGE_ADDRESS'],
    ['another payload', { payload: Buffer.from('{"item":2}') }, 'ERR_MESSAGE_PAYLOAD'],
    ['another key', { key: Buffer.from('k2') }, 'ERR_MESSAGE_KEY'],
    ['a signed header changed', { headers: [['tenant', 'evil']] }, 'ERR_MESSAGE_HEADERS'],
    ['a signed header gone', { headers: [] }, 'ERR_MESSAGE_HEADERS'],
    ['another identifier', { id: 'x' }, 'ERR_MESSAGE_ID'],
  ])('refuses %s', async (_, change, code) => {
    const { produce, consume } = setUp()
    expect(await consume(await produce(), { ...sent, ...change })).toMatchObject({ outcome: 'challenge', reason: 'invalid', code })
  })

  it("signs the caller's token along: none is exchanged, added or taken away", async () => {
    const { produce, consume } = setUp()
    const withCaller = (token: string): MessageInit => ({ ...sent, headers: [...(sent.headers ?? []), ['portcullis-caller', token]] })
    expect(await consume(await produce(withCaller('ann')), withCaller('ann'))).toMatchObject({ outcome: 'allow' })
    expect(await consume(await produce(withCaller('ann')), withCaller('bob'))).toMatchObject({ code: 'ERR_MESSAGE_CALLER' })
    expect(await consume(await produce(withCaller('ann')))).toMatchObject({ code: 'ERR_MESSAGE_CALLER' })
    expect(await consume(await produce(), withCaller('ann'))).toMatchObject({ code: 'ERR_MESSAGE_CALLER' })
  })

  it('refuses a key that was added, and one that was taken away', async () => {
    const { produce, consume } = setUp()
    const { key: _, ...without } = sent
    expect(await consume(await produce(), without)).toMatchObject({ code: 'ERR_MESSAGE_KEY' })
    expect(await consume(await produce(without))).toMatchObject({ code: 'ERR_MESSAGE_KEY' })
  })

  it('lets headers change that nobody signed, and demands those that the consumer names', async () => {
    const free = setUp()
    expect(
      await free.consume(await free.produce(), {
        ...sent,
        headers: [
          ['tenant', 'acme'],
          ['trace', 'other'],
        ],
      }),
    ).toMatchObject({ outcome: 'allow' })
    const strict = setUp({ signedHeaders: ['trace'] })
    expect(await strict.consume(await strict.produce())).toMatchObject({ code: 'ERR_MESSAGE_HEADERS' })
  })

  it('refuses unknown signers, foreign keys, another audience, missing rights, and nothing at all', async () => {
    const mallory = setUp({}, { key: { privateKey: other.privateKey } })
    expect(await mallory.consume(await mallory.produce())).toMatchObject({ code: 'ERR_JWT_SIGNATURE_INVALID' })
    const foreign = setUp({}, { issuer: 'urn:elsewhere' })
    expect(await foreign.consume(await foreign.produce())).toMatchObject({ code: 'ERR_JWT_ISSUER_UNKNOWN' })
    const neighbour = setUp({}, { audience: 'billing' })
    expect(await neighbour.consume(await neighbour.produce())).toMatchObject({ code: 'ERR_JWT_AUDIENCE_UNEXPECTED' })
    const stranger = setUp({}, { subject: 'somebody' })
    expect(await stranger.consume(await stranger.produce())).toMatchObject({ code: 'ERR_MESSAGE_SIGNER' })
    const signers = (subjects: 'any' | readonly [string, ...string[]]) => ({
      signers: [{ issuer: 'urn:shop', keys: { publicKey }, scopes: ['orders:publish'], subjects }] as const,
    })
    for (const [subjects, subject, expected] of [
      [['till', 'desk'], 'till', { outcome: 'allow', principal: { subject: 'till' } }],
      [['till', 'desk'], 'somebody', { code: 'ERR_MESSAGE_SIGNER' }],
      [['till', 'desk'], 'urn:shop', { code: 'ERR_MESSAGE_SIGNER' }],
      ['any', 'somebody', { outcome: 'allow', principal: { subject: 'somebody' } }],
    ] as const) {
      const named = setUp(signers(subjects), { subject })
      expect(await named.consume(await named.produce())).toMatchObject(expected)
    }
    const poor = setUp({ signers: [{ issuer: 'urn:shop', keys: { publicKey } }] })
    expect(await poor.consume(await poor.produce())).toMatchObject({ outcome: 'forbid', reason: 'insufficientScope' })
    const { guarded, consume } = setUp()
    expect(await guarded.decide({ ...received('x', sent), credentials: [] })).toMatchObject({ outcome: 'challenge', reason: 'missing' })
    for (const junk of ['', 'x', 'a.b.c', '..', 'é']) expect(await consume(junk)).toMatchObject({ outcome: 'challenge' })
  })

  it('never takes an access token for an envelope, nor an envelope for an access token', async () => {
    const { produce, consume } = setUp()
    const token = await issue({ issuer: 'urn:shop', subject: 'urn:shop', audience: 'warehouse', key: { privateKey } })
    expect(await consume(token)).toMatchObject({ code: 'ERR_JWT_TYPE_UNEXPECTED' })
    const service = guard({ authenticate: jwt({ issuer: 'urn:shop', audience: 'warehouse', keys: { publicKey } }) })
    const asBearer = {
      ...received('x', sent),
      credentials: [{ kind: 'bearer' as const, carrier: 'authorization', token: { reveal: () => '' } as never }],
    }
    const envelope = await produce()
    const { secret } = await import('@portcullis/core')
    expect(
      await service.decide({ ...asBearer, credentials: [{ kind: 'bearer', carrier: 'authorization', token: secret(envelope) }] }),
    ).toMatchObject({ outcome: 'challenge', code: 'ERR_JWT_TYPE_UNEXPECTED' })
  })

  it('refuses envelopes that lack a part, or have one of a wrong type', async () => {
    const { consume, produce } = setUp()
    const sound = JSON.parse(Buffer.from((await produce()).split('.')[1] ?? '', 'base64url').toString()) as Record<string, unknown>
    const signer = createSigner({ key: { privateKey }, typ: envelopeType })
    for (const change of [
      { jti: undefined },
      { jti: '' },
      { sub: '' },
      { dst: 1 },
      { dst: '' },
      { dig: null },
      { dig: '' },
      { iat: undefined },
      { hdr: 'tenant' },
      { hdr: [1] },
      { hdr: undefined },
      { hdg: undefined },
      { hdg: '' },
      { kdg: 5 },
      { kdg: '' },
      { cdg: 5 },
      { cdg: '' },
      { hdr: Array.from({ length: 65 }, () => 'x') },
    ]) {
      const envelope = await signer.sign({ ...sound, ...change })
      expect(await consume(envelope), JSON.stringify(change)).toMatchObject({ outcome: 'challenge', code: 'ERR_MESSAGE_CLAIM_INVALID' })
    }
    for (const change of [{ iat: '1' }, { hdr: Array.from({ length: 64 }, () => 'x') }])
      expect(await consume(await signer.sign({ ...sound, ...change }))).toMatchObject({ outcome: 'challenge', reason: 'invalid' })
  })

  it("judges time against the log where the broker stamps it: last week's message, read today", async () => {
    const { clock, produce, consume } = setUp()
    const envelope = await produce()
    const appendedAtMs = clock.now() + 1_000
    clock.advance(7 * 86_400_000)
    expect(await consume(envelope, { ...sent, position: 'orders/0/1', appendedAtMs })).toMatchObject({ outcome: 'allow' })
    expect(await consume(await produce(), { ...sent, position: 'orders/0/2', appendedAtMs })).toMatchObject({
      code: 'ERR_MESSAGE_UNTIMELY',
    })
    expect(await consume(await produce(), { ...sent, appendedAtMs: clock.now() + 10_001 })).toMatchObject({ code: 'ERR_MESSAGE_UNTIMELY' })
  })

  it('judges time against now where the broker stamps none, and takes no signature from the future', async () => {
    const { clock, produce, consume } = setUp()
    const [early, late] = [await produce(), await produce()]
    clock.advance(10_000)
    expect(await consume(early)).toMatchObject({ outcome: 'allow' })
    clock.advance(1)
    expect(await consume(late)).toMatchObject({ code: 'ERR_MESSAGE_UNTIMELY' })
    const future = await produce()
    clock.step(clock.now() - 5_001)
    expect(await consume(future)).toMatchObject({ code: 'ERR_MESSAGE_UNTIMELY' })
  })

  it('tells redelivery from replay', async () => {
    const { produce, consume } = setUp()
    const envelope = await produce()
    expect(await consume(envelope, { ...sent, position: 'orders/0/1' })).toMatchObject({ outcome: 'allow' })
    expect(await consume(envelope, { ...sent, position: 'orders/0/1' })).toMatchObject({ outcome: 'allow' })
    expect(await consume(envelope, { ...sent, position: 'orders/0/2' })).toMatchObject({ code: 'ERR_MESSAGE_REPLAYED' })
    // A replay is one also when it is handed out a second time.
    expect(await consume(envelope, { ...sent, position: 'orders/0/2', redelivered: true })).toMatchObject({ code: 'ERR_MESSAGE_REPLAYED' })
    const queued = await produce()
    expect(await consume(queued)).toMatchObject({ outcome: 'allow' })
    expect(await consume(queued, { ...sent, redelivered: true })).toMatchObject({ outcome: 'allow' })
    expect(await consume(queued)).toMatchObject({ code: 'ERR_MESSAGE_REPLAYED' })
  })

  it('waits rather than forgets when its memory is full, and drops what a shared memory knows as done', async () => {
    const { produce, consume } = setUp({ maxEntries: 1 })
    expect(await consume(await produce())).toMatchObject({ outcome: 'allow' })
    expect(await consume(await produce())).toMatchObject({ outcome: 'unavailable', reason: 'overload', code: 'ERR_MESSAGE_MEMORY_FULL' })
    const done: MessageMemory = { see: () => Promise.resolve('done' as const) }
    const finished = setUp({ memory: done })
    expect(await finished.consume(await finished.produce())).toMatchObject({ code: 'ERR_MESSAGE_DONE' })
    const down: MessageMemory = { see: () => Promise.reject(new Error('down')) }
    const broken = setUp({ memory: down })
    expect(await broken.consume(await broken.produce())).toMatchObject({ outcome: 'unavailable' })
  })

  it('does not remember what is not signed, so that junk cannot fill the memory', async () => {
    const { produce, consume } = setUp({ maxEntries: 1 })
    for (let at = 0; at < 5; at++)
      expect(await consume(await produce(), { ...sent, payload: Buffer.from('forged') })).toMatchObject({ code: 'ERR_MESSAGE_PAYLOAD' })
    expect(await consume(await produce())).toMatchObject({ outcome: 'allow' })
  })

  it('signs only for its targets, and only messages', async () => {
    const sign = messageSigner({ issuer: 'urn:shop', key: { privateKey }, audience: 'warehouse', targets: ['kafka://broker:9094'] })
    const binding = messageBinding(sent)
    await expect(async () => sign({ target: { origin: 'kafka://other:9094', secure: true }, binding })).rejects.toMatchObject({
      code: 'ERR_SOURCE_TARGET',
    })
    await expect(async () => sign({ target: { ...target, secure: false }, binding })).rejects.toMatchObject({ code: 'ERR_SOURCE_INSECURE' })
    await expect(async () => sign({ target, binding: { method: 'GET', uri: 'https://a.example' } })).rejects.toMatchObject({
      code: 'ERR_OPTION_INVALID',
    })
  })

  it.each([
    { maxAgeMs: 0 },
    { maxAgeMs: undefined },
    { maxAgeMs: Number.NaN },
    { signers: [] },
    { audience: '' },
    { audience: [] },
    { signedHeaders: [] },
    { maxAge: 5 },
    { signers: [{ issuer: '', keys: { publicKey } }] },
    { signers: [{ issuer: 'x', keys: { publicKey }, scope: 'y' }] },
  ])('is not made with %o', (change) => {
    const sound = { audience: 'warehouse', signers: [{ issuer: 'urn:shop', keys: { publicKey: publicKey as KeyObject } }], maxAgeMs: 1_000 }
    expect(() => signedMessages({ ...sound, ...change } as never)).toThrow(expect.objectContaining({ family: 'configuration' }))
  })
})
