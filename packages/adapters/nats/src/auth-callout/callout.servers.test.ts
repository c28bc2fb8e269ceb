import {
  authenticator,
  credentialOf,
  guard,
  notMine,
  refused,
  secret,
  UnavailableError,
  vouchForPrincipal,
  type AuditEvent,
} from '@portcullis/core'
import { basicCredentials } from '@portcullis/auth'
import { startNats } from '@portcullis/test-servers'
import { createAccount, createCurve, createServer } from '@nats-io/nkeys'
import { encodeGeneric } from '@nats-io/jwt'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { withoutIdentity } from '../danger.ts'
import { publisher, subjectToken } from '../index.ts'
import { Scene } from '../nats.test-support.ts'
import { authCallout, type AuthCallout } from './index.ts'
import { describeConnection, readRequest } from './request.ts'

const issuer = createAccount()
const xkey = createCurve()
const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString()
const config = `accounts { AUTH: { users: [ { user: auth, password: auth } ] }, APP: {} }
authorization { timeout: 1, auth_callout { issuer: ${issuer.getPublicKey()}, auth_users: [ auth ], account: AUTH, xkey: ${xkey.getPublicKey()} } }`
const events: AuditEvent[] = []

// One mechanism for all: who knows the word comes in, for as long as the name says.
const words = authenticator('words', ({ credentials, channel }) => {
  const basic = credentialOf(credentials, 'basic')
  const bearer = credentialOf(credentials, 'bearer')
  if (basic === undefined && bearer === undefined) return notMine
  const [name, word] = basic === undefined ? ['robot', bearer?.token] : [basic.username, basic.password]
  if (name === 'outage') throw new UnavailableError('ERR_TEST', 'down')
  if (word?.equals('open-sesame') !== true || !channel.secure) return refused('ERR_TEST_REFUSED')
  return vouchForPrincipal({ issuer: 'urn:words', subject: name, ...(name === 'brief' && { expiresAt: new Date(Date.now() + 2_500) }) })
})

let scene: Scene
let callout: AuthCallout
beforeAll(async () => {
  scene = new Scene(await startNats({ config }))
  callout = await authCallout({
    client: await scene.open({ credentials: scene.as('auth', 'auth') }),
    guard: guard({ authenticate: words, audit: (event) => events.push(event) }),
    admit: ({ subject }) => ({
      account: 'APP',
      publish: subject === 'mute' ? [] : [`from.${subjectToken(subject)}`],
      subscribe: ['_INBOX.>'],
    }),
    issuer: text(issuer.getSeed()),
    xkey: secret(text(xkey.getSeed())),
  })
}, 60_000)
afterAll(async () => {
  await callout?.close()
  await scene?.[Symbol.asyncDispose]()
})

const as = (username: string, password = 'open-sesame') => scene.open({ credentials: scene.as(username, password) })
const codeOf = async (username: string, password?: string): Promise<unknown> =>
  (await as(username, password)).open().then(
    (connection) => connection.close(),
    (error: { code: unknown }) => error.code,
  )

describe('an auth callout', () => {
  it('lets in whom the guard allows, with the rights of its principal and no others', async () => {
    await using alice = await publisher({ client: await as('alice'), identity: withoutIdentity })
    await alice.publish({ subject: 'from.alice', content: 'x' })
    await expect(alice.publish({ subject: 'from.bob', content: 'x' })).rejects.toMatchObject({ code: 'ERR_NATS_FORBIDDEN' })
    await using mute = await publisher({ client: await as('mute'), identity: withoutIdentity })
    await expect(mute.publish({ subject: 'from.mute', content: 'x' })).rejects.toMatchObject({ code: 'ERR_NATS_FORBIDDEN' })
  })

  it('lets in nobody whose name would be a pattern', async () => {
    for (const name of ['*', '>', 'alice.>', 'a b', 'x.y']) expect(await codeOf(name)).toBe('ERR_NATS_CREDENTIAL_REFUSED')
    await expect.poll(() => events).toContainEqual(expect.objectContaining({ type: 'warning', code: 'ERR_NATS_CALLOUT' }))
    expect(['alice', 'Ä-1_@'].map(subjectToken)).toEqual(['alice', 'Ä-1_@'])
    for (const name of ['', '*', '>', 'a.b', 'a b', '.']) expect(() => subjectToken(name)).toThrow('no token')
  })

  it('says so when it may not listen', async () => {
    const deaf = config.replace('password: auth }', 'password: auth, permissions: { subscribe: [ "_INBOX.>" ] } }')
    await using own = new Scene(await startNats({ config: deaf }))
    const options = {
      issuer: text(issuer.getSeed()),
      xkey: text(xkey.getSeed()),
      admit: () => ({ account: 'APP', publish: [], subscribe: [] }),
    }
    const client = await own.open({ credentials: own.as('auth', 'auth') })
    await expect(authCallout({ ...options, client, guard: guard({ authenticate: words }) })).rejects.toMatchObject({
      code: 'ERR_NATS_FORBIDDEN',
    })
  })

  it('says so when the server refuses it, and is there again after a restart', { timeout: 30_000 }, async () => {
    await using own = new Scene(await startNats({ config }))
    const heard: AuditEvent[] = []
    let password = 'auth'
    await using service = await authCallout({
      client: await own.open({
        credentials: () => ({ credential: { kind: 'basic', carrier: 'connect', username: 'auth', password: secret(password) } }),
      }),
      guard: guard({ authenticate: words, audit: (event) => heard.push(event) }),
      admit: () => ({ account: 'APP', publish: ['>'], subscribe: ['>'] }),
      issuer: text(issuer.getSeed()),
      xkey: text(xkey.getSeed()),
    })
    await own.server.restart()
    const again = async (): Promise<boolean> =>
      (
        await own.open({
          credentials: () => ({ credential: { kind: 'basic', carrier: 'c', username: 'alice', password: secret('open-sesame') } }),
        })
      )
        .open()
        .then(
          (connection) => connection.close().then(() => true),
          () => false,
        )
    await expect.poll(again, { timeout: 15_000 }).toBe(true)
    password = 'wrong'
    await own.server.reload(config.replace('password: auth }', 'password: changed }'))
    await expect(service.ended).rejects.toMatchObject({ code: 'ERR_NATS_CREDENTIAL_REFUSED' })
    await expect.poll(() => heard).toContainEqual(expect.objectContaining({ type: 'sessionEnded', code: 'ERR_NATS_CREDENTIAL_REFUSED' }))
  })

  it('takes tokens too, refuses what the guard refuses, and an outage, which is told apart in the audit trail only', async () => {
    const robot = await scene.open({
      credentials: () => ({ credential: { kind: 'bearer', carrier: 'connect', token: secret('open-sesame') } }),
    })
    await (await robot.open()).close()
    expect(await codeOf('alice', 'wrong')).toBe('ERR_NATS_CREDENTIAL_REFUSED')
    expect(await codeOf('outage')).toBe('ERR_NATS_CREDENTIAL_REFUSED')
    expect(events.flatMap((event) => (event.type === 'decision' ? [event.reason] : []))).toEqual(
      expect.arrayContaining(['invalid', 'outage']),
    )
    expect(JSON.stringify(events)).not.toContain('open-sesame')
  })

  it('ends a connection when its principal ends, and at the latest when it was said to', { timeout: 30_000 }, async () => {
    await using own = new Scene(await startNats({ config }))
    await using short = await authCallout({
      client: await own.open({ credentials: own.as('auth', 'auth') }),
      guard: guard({ authenticate: words }),
      admit: () => ({ account: 'APP', publish: ['>'], subscribe: ['>'] }),
      issuer: text(issuer.getSeed()),
      xkey: text(xkey.getSeed()),
      maxLifetimeMs: 2_500,
    })
    const ends = async (at: Scene, username: string): Promise<void> => {
      const connection = await (await at.open({ credentials: at.as(username, 'open-sesame') })).open()
      const heard: string[] = []
      void (async () => {
        for await (const status of connection.status()) heard.push(status.type === 'error' ? status.error.name : status.type)
      })()
      await expect.poll(() => heard, { timeout: 10_000 }).toContain('UserAuthenticationExpiredError')
      await connection.close()
    }
    await Promise.all([ends(scene, 'brief'), ends(own, 'alice')])
    void short
  })

  it('refuses keys of another form', async () => {
    const client = await scene.open({ credentials: basicCredentials({ username: 'auth', password: 'auth', targets: [scene.origin] }) })
    const options = { client, guard: guard({ authenticate: words }), admit: () => ({ account: 'APP', publish: [], subscribe: [] }) }
    const [a, x] = [text(issuer.getSeed()), text(xkey.getSeed())]
    for (const [one, other] of [
      [x, x],
      [a, a],
      ['', x],
      ['SA', x],
    ] as const)
      await expect(authCallout({ ...options, issuer: one, xkey: other })).rejects.toMatchObject({ code: 'ERR_OPTION_INVALID' })
  })
})

describe('a request for authorization', () => {
  const server = createServer()
  const account = createAccount()
  const serverXkey = createCurve()
  const now = Date.now()
  const made = async (changes: object = {}, signer = server, opts: object = {}): Promise<Uint8Array> => {
    const request = {
      server_id: { name: 's', host: 'h', id: server.getPublicKey(), xkey: serverXkey.getPublicKey() },
      user_nkey: 'UAAA',
      client_info: {},
      connect_opts: { protocol: 1 },
      ...changes,
    }
    const jwt = await encodeGeneric('r', signer, 'authorization_request', request, {
      aud: 'nats-authorization-request',
      exp: Math.floor(now / 1_000) + 2,
      ...opts,
    })
    return serverXkey.seal(Buffer.from(jwt), xkey.getPublicKey())
  }
  const read = (data: Uint8Array, from: string | undefined = serverXkey.getPublicKey(), servers?: ReadonlySet<string>, at = now) =>
    readRequest(data, from, xkey, servers, at)

  it('is believed only if it is sealed by who signed it, for us, and now', async () => {
    const sound = await made()
    expect(read(sound)).toMatchObject({ userKey: 'UAAA', serverKey: server.getPublicKey() })
    expect(read(sound, serverXkey.getPublicKey(), new Set([server.getPublicKey()]))).toMatchObject({ userKey: 'UAAA' })
    const wrong = [
      readRequest(sound, undefined, xkey, undefined, now),
      readRequest(sound, serverXkey.getPublicKey(), createCurve(), undefined, now),
      read(sound, createCurve().getPublicKey()),
      read(sound, serverXkey.getPublicKey(), new Set([createServer().getPublicKey()])),
      read(sound, serverXkey.getPublicKey(), undefined, now + 120_000),
      read(sound, serverXkey.getPublicKey(), undefined, now - 120_000),
      read(await made({}, createServer())),
      read(await made({}, createAccount())),
      read(await made({ server_id: { id: account.getPublicKey(), xkey: serverXkey.getPublicKey() } }, account)),
      read(await made({ server_id: { id: server.getPublicKey(), xkey: createCurve().getPublicKey() } })),
      read(await made({}, server, { aud: 'elsewhere' })),
      read(await made({ user_nkey: 'AAAA' })),
      read(Buffer.from('junk')),
    ]
    expect(wrong.map((one) => typeof one)).toEqual(wrong.map(() => 'string'))
  })

  it('holds what the client presented, and whether it came over TLS', () => {
    const described = (connect_opts: object, client_tls?: object) =>
      describeConnection({ client_info: { host: '192.0.2.7' }, connect_opts: { protocol: 1, ...connect_opts }, client_tls } as never)
    const kinds = (connect_opts: object): unknown[] => described(connect_opts).credentials.map(({ kind }) => kind)
    expect(kinds({})).toEqual([])
    expect(kinds({ user: 'a', pass: 'b' })).toEqual(['basic'])
    expect(kinds({ user: 'a', auth_token: 'b' })).toEqual(['basic', 'bearer'])
    // Nobody has checked these.
    expect(kinds({ nkey: 'UA' })).toEqual(['malformed'])
    expect(kinds({ jwt: 'a.b.c', user: 'a', pass: 'b' })).toEqual(['basic', 'malformed'])
    const secure = [undefined, {}, { version: '' }, { version: '1.3' }].map((tls) => described({}, tls).channel.secure)
    expect(secure).toEqual([false, false, false, true])
    expect(described({}).channel).toMatchObject({ from: 'peer', remoteAddress: '192.0.2.7' })
  })
})
