import { Client, Metadata, status, type StatusObject } from '@grpc/grpc-js'
import { maxFailedReauthentications, type CredentialSource } from '@portcullis/core'
import { describe, expect, it, onTestFinished } from 'vitest'
import { client, principalOf, renewalKey, renewalPath, serve, service } from './index.ts'
import { empty } from './renewal.ts'
import { bearer, development as tls, guarding, heard, textMethod, token } from './text-service.test-support.ts'

const name = 'a-name-of-enough-letters'
const definition = { follow: textMethod('/test.News/follow', false, true) }

/** A service of news, to which the test publishes. */
async function setUp() {
  const setting = guarding()
  const pushes = new Set<(text: string) => void>()
  const news = service({
    definition,
    guard: setting.guard,
    handlers: {
      follow(call) {
        const push = (text: string): void => void call.write(`${text} for ${[...principalOf(setting.guard, call).scopes].join()}`)
        pushes.add(push)
        call.on('cancelled', () => pushes.delete(push))
      },
    },
  })
  const listener = await serve({ tls: tls.server, guard: setting.guard, services: [news] })
  onTestFinished(() => listener.close({ graceMs: 0 }))
  const connect = async (source?: CredentialSource): Promise<Client> => {
    const made = await client(Client, {
      host: 'localhost',
      port: listener.port,
      tls: tls.client,
      clock: setting.clock,
      ...(source && { source }),
    })
    onTestFinished(() => made.close())
    return made
  }
  const publish = (text: string): void => {
    for (const push of pushes) push(text)
  }
  const inSeconds = (seconds: number): Date => new Date(setting.clock.now() + seconds * 1_000)
  return { ...setting, listener, connect, publish, pushes, inSeconds }
}

function metadataOf(text: string | undefined, stream: string | undefined): Metadata {
  const metadata = new Metadata()
  if (text !== undefined) metadata.set('authorization', `Bearer ${text}`)
  if (stream !== undefined) metadata.set(renewalKey, stream)
  return metadata
}

const { requestSerialize, responseDeserialize } = definition.follow
const follow = (made: Client, metadata?: Metadata) =>
  heard(made.makeServerStreamRequest(definition.follow.path, requestSerialize, responseDeserialize, 'please', metadata ?? new Metadata()))
const renew = (made: Client, metadata: Metadata): Promise<StatusObject> =>
  new Promise((resolve) => {
    made.makeUnaryRequest(renewalPath, empty.serialize, empty.deserialize, {}, metadata, () => undefined).on('status', resolve)
  })

describe('the renewal of a stream', () => {
  it('gives it the new credential: its time, its scopes, and the principal of the handler', async () => {
    const at = await setUp()
    const made = await at.connect()
    const { received, ended } = follow(made, metadataOf(token('alice', 'old', at.inSeconds(60)), name))
    await expect.poll(() => at.pushes.size).toBe(1)
    at.publish('one')
    expect(await renew(made, metadataOf(token('alice', 'new', at.inSeconds(120)), name))).toMatchObject({ code: status.OK })
    at.clock.advance(60_000)
    at.publish('two')
    await expect.poll(() => received).toEqual(['one for old', 'two for new'])
    at.clock.advance(60_000)
    expect(await ended).toMatchObject({ code: status.UNAUTHENTICATED })
    expect(await renew(made, metadataOf(token('alice'), name))).toMatchObject({ code: status.NOT_FOUND })
  })

  it('knows a stream on its own connection only', async () => {
    const at = await setUp()
    const [made, other] = [await at.connect(), await at.connect()]
    follow(made, metadataOf(token('alice'), name))
    await expect.poll(() => at.pushes.size).toBe(1)
    expect(await renew(other, metadataOf(token('alice'), name))).toMatchObject({ code: status.NOT_FOUND })
    expect(await renew(made, metadataOf(token('alice'), undefined))).toMatchObject({ code: status.NOT_FOUND })
    expect(await renew(made, metadataOf(token('alice'), '__proto__'))).toMatchObject({ code: status.NOT_FOUND })
    expect(await renew(made, metadataOf(token('alice'), name))).toMatchObject({ code: status.OK })
  })

  it('opens nothing under a name that is taken, or is none', async () => {
    const at = await setUp()
    const made = await at.connect()
    follow(made, metadataOf(token('alice'), name))
    await expect.poll(() => at.pushes.size).toBe(1)
    for (const taken of [name, 'short', 'x'.repeat(65), `${name} and more`])
      expect(await follow(made, metadataOf(token('alice'), taken)).ended).toMatchObject({ code: status.INVALID_ARGUMENT })
    expect(at.pushes.size).toBe(1)
  })

  it('frees the name of a stream that has ended', async () => {
    const at = await setUp()
    const made = await at.connect()
    const first = follow(made, metadataOf(token('alice'), name))
    await expect.poll(() => at.pushes.size).toBe(1)
    first.call.cancel()
    await expect.poll(() => at.pushes.size).toBe(0)
    follow(made, metadataOf(token('alice'), name))
    await expect.poll(() => at.pushes.size).toBe(1)
  })

  it('ends the stream after too many refusals, or for another subject', async () => {
    const at = await setUp()
    const made = await at.connect()
    const guessed = follow(made, metadataOf(token('alice'), name))
    await expect.poll(() => at.pushes.size).toBe(1)
    for (let attempt = 0; attempt < maxFailedReauthentications; attempt++)
      expect(await renew(made, metadataOf('nonsense', name))).toMatchObject({ code: status.UNAUTHENTICATED })
    expect(await guessed.ended).toMatchObject({ details: 'Too many attempts to authenticate again.' })
    const taken = follow(made, metadataOf(token('alice'), name))
    await expect.poll(() => at.pushes.size).toBe(1)
    expect(await renew(made, metadataOf(token('bob'), name))).toMatchObject({ code: status.UNAUTHENTICATED })
    expect(await taken.ended).toMatchObject({ details: 'A stream keeps its subject.' })
  })

  it('is done by the client ahead of each expiry, ten times, and no message is lost or repeated', async () => {
    const at = await setUp()
    let tokens = 0
    const made = await at.connect(() => ({
      credential: bearer(token('alice', String.fromCodePoint(97 + tokens++), at.inSeconds(60))),
      expiresAt: at.inSeconds(60),
    }))
    const { received, call } = follow(made)
    await expect.poll(() => at.pushes.size).toBe(1)
    const renewals = (): number => at.events.filter(({ type }) => type === 'reauthenticated').length
    for (let turn = 1; turn <= 10; turn++) {
      await at.clock.advanceAsync(30_000)
      await expect.poll(renewals).toBe(turn)
      at.publish(String(turn))
    }
    await expect.poll(() => received.map((text) => Number.parseInt(text, 10))).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10])
    call.cancel()
    await expect.poll(() => at.clock.pending).toBe(0)
  })

  it('is tried again by the client while the source has nothing new, and ends with it', async () => {
    const at = await setUp()
    const expiresAt = at.inSeconds(60)
    let asked = 0
    const made = await at.connect(() => {
      asked++
      return { credential: bearer(token('alice', '', expiresAt)), expiresAt }
    })
    const { ended } = follow(made)
    await expect.poll(() => at.pushes.size).toBe(1)
    await at.clock.advanceAsync(60_000)
    expect(await ended).toMatchObject({ code: status.UNAUTHENTICATED })
    expect(asked).toBeGreaterThan(2)
    expect(asked).toBeLessThan(12)
    expect(at.events.filter(({ type }) => type === 'decision')).toHaveLength(1)
    await expect.poll(() => at.clock.pending).toBe(0)
  })
})
