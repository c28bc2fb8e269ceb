import { once } from 'node:events'
import { connect } from 'node:net'
import {
  absent,
  allOf,
  anyOf,
  everyone,
  forbid,
  granted,
  guard,
  scope,
  secret,
  type AuditEvent,
  type Authorizer,
  type Guard,
  type Principal,
} from '@portcullis/core'
import { manualClock } from '@portcullis/core/testing'
import { clientCertificate, secureClientOptions, type ClientTlsBundle } from '@portcullis/tls'
import { developmentIssuer, developmentTls, writeCertificate } from '@portcullis/tls/development'
import { afterEach, describe, expect, it } from 'vitest'
import { ask, form, Words, type Ask } from './authority.test-support.ts'
import { authority, type AuthorityOptions, type RabbitmqAuthority } from './index.ts'

const proof = 'a-secret-of-at-least-thirty-two-characters'
const scopes = ['rabbitmq.write:%2F/orders', 'rabbitmq.read:shop/*', 'rabbitmq.write:%2F/events/eu.*', 'rabbitmq.write:%2F/events']
const yes = { status: 200, text: 'allow' }
const no = { status: 200, text: 'deny' }
const open: RabbitmqAuthority[] = []
afterEach(async () => {
  for (const one of open.splice(0)) await one.close()
})

const toEnter: Authorizer = (_principal, { action }) => (action === 'enter' ? granted : forbid('entering'))

async function setUp(options: Partial<AuthorityOptions> = {}) {
  const clock = manualClock()
  const words = new Words(clock, scopes)
  const events: AuditEvent[] = []
  const guarded: Guard<Principal> = guard({ authenticate: words.mechanism, clock, audit: (event) => events.push(event) })
  const made = await authority({ guard: guarded, broker: { secret: proof }, port: 0, ...options })
  open.push(made)
  const url = `http://127.0.0.1:${made.port}/${proof}`
  const post = (call: string, fields: Readonly<Record<string, string>>) => ask(`${url}/${call}`, form(fields))
  const login = (username: string, password = 'open-sesame') => post('user', { username, password })
  const enter = (username: string, vhost = '/') => post('vhost', { username, vhost, ip: '127.0.0.1', tags: '' })
  const use = (username: string, name: string, { permission = 'write', vhost = '/', resource = 'queue' } = {}) =>
    post('resource', { username, vhost, resource, name, permission, tags: '' })
  const publish = (username: string, routing_key: string, vhost = '/') =>
    post('topic', { username, vhost, resource: 'topic', name: 'events', permission: 'write', tags: '', routing_key })
  const codes = () => events.flatMap((event) => ('code' in event && event.code !== undefined ? [event.code] : []))
  return { clock, words, guarded, url, port: made.port, post, login, enter, use, publish, events, codes }
}

describe('an authority', () => {
  it('lets in whom the guard allows, and permits what the scopes say and nothing else', async () => {
    const { login, enter, use, publish, events } = await setUp()
    expect(await login('alice')).toEqual(yes)
    expect(await enter('alice')).toEqual(yes)
    expect(await use('alice', 'orders')).toEqual(yes)
    expect(await use('alice', 'orders', { permission: 'read' })).toEqual(no)
    expect(await use('alice', 'refunds')).toEqual(no)
    expect(await publish('alice', 'eu.berlin')).toEqual(yes)
    expect(await publish('alice', 'us.boston')).toEqual(no)
    expect(events).toContainEqual(expect.objectContaining({ code: 'ERR_SCOPE_INSUFFICIENT', principal: expect.anything() }))
    expect(JSON.stringify(events)).not.toContain('open-sesame')
  })

  it('denies a wrong password, an empty one and none, and takes an outage for no', async () => {
    const { login, post, enter, events } = await setUp()
    expect(await login('alice', 'guess')).toEqual(no)
    expect(await login('alice', '')).toEqual(no)
    expect(await post('user', { username: 'alice' })).toEqual(no)
    // An empty password is something that was presented, and reaches no directory.
    expect(events.map((event) => event.type === 'decision' && event.credentials)).toEqual([['basic'], ['malformed'], []])
    expect(await login('outage')).toEqual({ status: 503, text: '' })
    expect(await enter('alice')).toEqual(no)
    expect(await enter('outage')).toEqual(no)
  })

  it('denies whoever is unknown under a name, in a virtual host, and after a restart', async () => {
    const { login, enter, use, codes } = await setUp()
    expect(await use('alice', 'orders')).toEqual(no)
    await login('alice')
    // Not before it has entered.
    expect(await use('alice', 'orders')).toEqual(no)
    await enter('alice')
    expect(await use('alice', 'orders', { vhost: 'shop', permission: 'read' })).toEqual(no)
    expect(await enter('alice', 'elsewhere')).toEqual(no)
    expect(await use('alice', 'orders', { vhost: 'elsewhere' })).toEqual(no)
    expect(await enter('alice', 'shop')).toEqual(yes)
    expect(await use('alice', 'orders', { vhost: 'shop', permission: 'read' })).toEqual(yes)
    expect(await use('Alice', 'orders')).toEqual(no)
    expect(codes()).toContain('ERR_RABBITMQ_AUTHORITY_UNKNOWN')
    const restarted = await setUp()
    expect(await restarted.use('alice', 'orders')).toEqual(no)
  })

  it('knows a principal no longer than it holds: expiry, revocation, policy, and a day', async () => {
    const { login, enter, use, clock, words, guarded } = await setUp()
    for (const name of ['brief', 'ended', 'alice']) {
      expect(await login(name)).toEqual(yes)
      expect(await enter(name)).toEqual(yes)
      expect(await use(name, 'orders')).toEqual(yes)
    }
    clock.advance(9_999)
    expect(await use('brief', 'orders')).toEqual(yes)
    clock.advance(1)
    expect(await use('brief', 'orders')).toEqual(no)
    expect(await enter('brief')).toEqual(no)
    words.revocation.revoke('left')
    expect(await use('ended', 'orders')).toEqual(no)
    expect(await enter('ended')).toEqual(no)
    guarded.change({ authorize: scope('nobody-has-it') })
    expect(await use('alice', 'orders')).toEqual(no)
    guarded.change({ authorize: allOf(scope('rabbitmq.write:%2F/orders')) })
    expect(await use('alice', 'orders')).toEqual(yes)
    clock.advance(86_400_000)
    expect(await use('alice', 'orders')).toEqual(no)
  })

  it('takes a login for a minute towards a virtual host, and asking again lengthens nothing', async () => {
    const { login, enter, use, clock } = await setUp({ maxLifetimeMs: 100_000 })
    await login('alice')
    clock.advance(60_000)
    expect(await enter('alice')).toEqual(no)
    await login('alice')
    await enter('alice')
    clock.advance(50_000)
    expect(await enter('alice')).toEqual(yes)
    clock.advance(49_999)
    expect(await enter('alice')).toEqual(yes)
    clock.advance(1)
    expect([await enter('alice'), await use('alice', 'orders')]).toEqual([no, no])
  })

  it('is told a name that must be the principal’s own', async () => {
    const { post, enter, codes } = await setUp({ credential: 'bearer' })
    expect(await post('user', { username: 'bob', password: 'alice~open-sesame' })).toEqual(no)
    expect(await enter('bob')).toEqual(no)
    expect(await enter('alice')).toEqual(no)
    expect(codes()).toContain('ERR_RABBITMQ_AUTHORITY_NAME')
    expect(await post('user', { username: 'alice', password: 'alice~open-sesame' })).toEqual(yes)
    const named = await setUp({ credential: 'bearer', nameOf: ({ issuer, subject }) => `${issuer}/${subject}` })
    expect(await named.post('user', { username: 'alice', password: 'alice~open-sesame' })).toEqual(no)
    expect(await named.post('user', { username: 'urn:words/alice', password: 'alice~open-sesame' })).toEqual(yes)
  })

  it('lends nobody the rights of another issuer’s principal of the same name', async () => {
    const { login, enter, clock, words } = await setUp()
    expect(await login('ended')).toEqual(yes)
    expect(await login('ended', 'other-word')).toEqual(no)
    words.revocation.revoke('left')
    expect(await login('ended', 'other-word')).toEqual(yes)
    expect(await login('brief')).toEqual(yes)
    // Before it has entered, and after.
    expect(await login('brief', 'other-word')).toEqual(no)
    expect(await enter('brief')).toEqual(yes)
    clock.advance(9_000)
    expect(await login('brief', 'other-word')).toEqual(no)
    clock.advance(1_000)
    expect(await login('brief', 'other-word')).toEqual(yes)
    expect(await login('alice')).toEqual(yes)
    expect(await enter('alice')).toEqual(yes)
    clock.advance(60_000)
    expect(await login('alice', 'other-word')).toEqual(yes)
    expect(await enter('alice')).toEqual(no)
    expect(await enter('alice', 'shop')).toEqual(yes)
  })

  it('decides for who was proven last', async () => {
    const { login, enter, use } = await setUp({ permit: anyOf(scope('rabbitmq.write:%2F/orders'), toEnter) })
    await login('alice')
    await enter('alice')
    expect(await use('alice', 'orders')).toEqual(yes)
    await login('alice', 'narrow-word')
    // Another connection that has not entered changes nothing yet.
    expect(await use('alice', 'orders')).toEqual(yes)
    expect(await enter('alice')).toEqual(yes)
    expect(await use('alice', 'orders')).toEqual(no)
    await login('alice')
    await enter('alice')
    expect(await use('alice', 'orders')).toEqual(yes)
  })

  it('chooses the kind of credential by what the application says, and gives tags', async () => {
    const { post } = await setUp({
      credential: ({ password }) => (password.reveal().includes('~') ? 'bearer' : 'basic'),
      tagsOf: ({ subject }) => (subject === 'alice' ? ['monitoring', 'policymaker'] : []),
    })
    expect(await post('user', { username: 'alice', password: 'alice~open-sesame' })).toEqual({
      status: 200,
      text: 'allow monitoring policymaker',
    })
    expect(await post('user', { username: 'bob', password: 'open-sesame' })).toEqual(yes)
  })

  it('lets nobody in when a function of the application throws, or a tag is none', async () => {
    const thrown = new Error('mine')
    const fail = (): never => {
      throw thrown
    }
    for (const options of [{ nameOf: fail }, { tagsOf: fail }, { tagsOf: () => ['a tag'] }, { credential: fail }] as const) {
      const { login, enter, codes } = await setUp(options)
      expect(await login('alice')).toEqual({ status: 503, text: '' })
      expect(await enter('alice')).toEqual(no)
      expect(codes()).toContain('ERR_RABBITMQ_AUTHORITY_FAULT')
    }
    const { login, enter } = await setUp({ permit: fail })
    await login('alice')
    expect(await enter('alice')).toEqual({ status: 503, text: '' })
  })

  it('lets nobody in whom nobody proved', async () => {
    // As plain JavaScript could write it.
    const { post, enter } = await setUp({ guard: guard({ authenticate: absent() }) as never, nameOf: () => 'alice' })
    expect(await post('user', { username: 'alice' })).toEqual(no)
    expect(await enter('alice')).toEqual(no)
    await expect(setUp({ guard: guard({ authenticate: everyone() }) as never })).rejects.toMatchObject({ family: 'configuration' })
  })
})

describe('a call', () => {
  const user = form({ username: 'alice', password: 'open-sesame' })

  it.each<[string, number, string, Ask]>([
    ['by GET', 405, '/user', { method: 'GET' }],
    ['by PUT', 405, '/user', { method: 'PUT' }],
    ['to another path', 404, '/users', {}],
    ['to no path', 404, '', {}],
    ['with a query', 404, '/user?username=alice', {}],
    ['below a path', 404, '/user/', {}],
    ['to what every object has', 404, '/constructor', {}],
    ['as JSON', 415, '/user', { headers: { 'content-type': 'application/json' } }],
    ['as a form of another kind', 415, '/user', { headers: { 'content-type': 'application/x-www-form-urlencodedx' } }],
    ['without a type', 415, '/user', { headers: { 'content-type': '' } }],
    ['of unknown length', 411, '/user', { headers: { 'transfer-encoding': 'chunked' } }],
  ])('%s is answered with %i and judged by nobody', async (_what, status, path, how) => {
    const { url, events, codes } = await setUp()
    expect(await ask(url + path, user, how)).toEqual({ status, text: '' })
    expect(events.filter(({ type }) => type === 'decision')).toEqual([])
    expect(codes()).toEqual(['ERR_RABBITMQ_AUTHORITY_CALL'])
  })

  it('that is too long is not read', async () => {
    const { url, login } = await setUp()
    const long = form({ username: 'alice', password: 'x'.repeat(40_000) })
    expect([413, 'cut']).toContain(((answer) => (answer === 'cut' ? answer : answer.status))(await ask(`${url}/user`, long)))
    expect(await login('alice')).toEqual(yes)
  })

  it.each([
    ['nothing', 'user', ''],
    ['no name', 'user', 'password=open-sesame'],
    ['an empty name', 'user', 'username=&password=open-sesame'],
    ['a name twice', 'user', 'username=mallory&password=open-sesame&username=alice'],
    ['a password twice', 'user', 'username=alice&password=open-sesame&password=guess'],
    ['a name twice, once encoded', 'user', 'username=alice&%75sername=bob&password=open-sesame'],
    ['bytes that are no UTF-8', 'user', 'username=%ff&password=open-sesame'],
    ['a broken escape', 'user', 'username=%4&password=open-sesame'],
    ['bytes beyond ASCII', 'user', 'username=ümit&password=open-sesame'],
    ['a field without value', 'user', 'username=alice&password'],
    ['no virtual host', 'vhost', 'username=alice'],
    ['an empty virtual host', 'vhost', 'username=alice&vhost='],
    ['a kind that does not exist', 'resource', 'username=alice&vhost=%2F&resource=vault&name=orders&permission=write'],
    ['a permission that does not exist', 'resource', 'username=alice&vhost=%2F&resource=queue&name=orders&permission=Write'],
    ['no permission', 'resource', 'username=alice&vhost=%2F&resource=queue&name=orders'],
    ['no resource', 'resource', 'username=alice&vhost=%2F&name=orders&permission=write'],
    ['no name of a queue', 'resource', 'username=alice&vhost=%2F&resource=queue&permission=write'],
    ['a topic among resources', 'resource', 'username=alice&vhost=%2F&resource=topic&name=events&permission=write'],
    ['a queue among topics', 'topic', 'username=alice&vhost=%2F&resource=queue&name=orders&permission=write&routing_key=eu.x'],
    ['a topic without routing key', 'topic', 'username=alice&vhost=%2F&resource=topic&name=events&permission=write'],
  ])('with %s is no call', async (_what, call, body) => {
    const { url, login, enter, codes } = await setUp()
    await login('alice')
    await enter('alice')
    expect(await ask(`${url}/${call}`, body)).toEqual({ status: 400, text: '' })
    expect(codes()).toContain('ERR_RABBITMQ_AUTHORITY_CALL')
  })

  it('may hold fields that are not known, and empty ones, as newer brokers send them', async () => {
    const { url, enter } = await setUp()
    const newer = 'username=al+ice&password=open%2Dsesame&vhost=%2F&client_id=c1&&variable_map.client_id=c1'
    expect(await ask(`${url}/user`, newer, { headers: { 'content-type': 'application/x-www-form-urlencoded; charset=utf-8' } })).toEqual(
      yes,
    )
    expect(await enter('al ice')).toEqual(yes)
  })
})

describe('who is not the broker', () => {
  const user = form({ username: 'alice', password: 'open-sesame' })

  it('gets no byte on loopback without the secret', async () => {
    const { port, events, codes } = await setUp({ broker: { secret: secret(proof) } })
    const at = `http://127.0.0.1:${port}`
    for (const path of ['', '/user', `/${proof.slice(1)}/user`, `/${proof.toUpperCase()}/user`, `//user`, `/x/${proof}/user`])
      expect(await ask(at + path, user)).toBe('cut')
    expect(await ask(`${at}/user`, user, { headers: { expect: '100-continue' } })).toBe('cut')
    expect(events.filter(({ type }) => type === 'decision')).toEqual([])
    expect(codes()).toContain('ERR_RABBITMQ_AUTHORITY_CALL')
    expect(await ask(`${at}/${proof}/user`, user)).toEqual(yes)
    expect(JSON.stringify(events)).not.toContain(proof)
  })

  it.each([
    ['what is no HTTP', 'junk\r\n\r\n'],
    ['a length that is none', 'POST /user HTTP/1.1\r\ncontent-length: x\r\n\r\n'],
    ['CONNECT', 'CONNECT a:1 HTTP/1.1\r\nhost: a\r\n\r\n'],
    ['an announced body', 'POST /user HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 5\r\n\r\n'],
    ['an expectation', 'POST /user HTTP/1.1\r\nhost: a\r\nexpect: more\r\ncontent-length: 5\r\n\r\n'],
    ['a call without a host', 'POST /user HTTP/1.1\r\ncontent-length: 0\r\n\r\n'],
    ['an upgrade', 'GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n'],
    ['too many header fields', `GET / HTTP/1.1\r\n${'a: b\r\n'.repeat(3_000)}`],
  ])('gets no byte for %s', async (_what, bytes) => {
    const { port } = await setUp()
    const said = await new Promise<string>((resolve) => {
      let text = ''
      const socket = connect(port, '127.0.0.1', () => socket.write(bytes))
      socket.on('data', (chunk: Buffer) => (text += chunk.toString()))
      socket.on('error', () => undefined)
      socket.once('close', () => resolve(text))
    })
    expect(said).toBe('')
  })

  it('takes no more than a thousand connections', async () => {
    const { port, url, codes } = await setUp()
    const sockets = await Promise.all(
      Array.from({ length: 1_000 }, async () => {
        const socket = connect(port, '127.0.0.1')
        await once(socket, 'connect')
        return socket
      }),
    )
    expect(await ask(`${url}/user`, user)).toBe('cut')
    await expect.poll(codes).toContain('ERR_RABBITMQ_AUTHORITY_CALL')
    for (const socket of sockets) socket.destroy()
    await expect.poll(() => ask(`${url}/user`, user)).toEqual(yes)
  })

  it('gets no byte without the broker’s certificate', async () => {
    const tls = await developmentTls({ clientCertificates: 'accept' })
    const broker = guard({
      authenticate: clientCertificate({ tls, issuers: { [developmentIssuer]: { by: 'commonName', principals: { broker: [] } } } }),
    })
    const { port, events, codes } = await setUp({ broker: { tls, guard: broker } })
    const as = (bundle: ClientTlsBundle, path = '/user') =>
      ask(`https://localhost:${port}${path}`, user, { tls: secureClientOptions(bundle, { host: 'localhost' }) })
    expect(await as(await tls.clientFor('broker'))).toEqual(yes)
    expect(await as(await tls.clientFor('broker'), '/nothing')).toEqual({ status: 404, text: '' })
    expect(await as(await tls.clientFor('mallory'))).toBe('cut')
    expect(await as(tls.client)).toBe('cut')
    const [notBefore, notAfter] = [new Date(Date.now() - 60_000), new Date(Date.now() + 60_000)]
    const forged = await writeCertificate({ commonName: 'broker', usages: ['clientAuth'], notBefore, notAfter })
    const pair = { cert: forged.certificate.toString(), key: forged.key.export({ type: 'pkcs8', format: 'pem' }) }
    expect(await ask(`https://localhost:${port}/user`, user, { tls: { ca: tls.authority, ...pair } })).toBe('cut')
    expect(codes()).toContain('ERR_TLS_PEER_UNTRUSTED')
    expect(await ask(`http://localhost:${port}/user`, user)).toBe('cut')
    expect(events.filter(({ type }) => type === 'decision')).toHaveLength(1)
    tls.close()
  })

  it('is not let in by a guard that admits everybody', async () => {
    const tls = await developmentTls({ clientCertificates: 'accept' })
    const { port } = await setUp({ broker: { tls, guard: guard({ authenticate: everyone() }) as never } })
    const options = secureClientOptions(await tls.clientFor('broker'), { host: 'localhost' })
    expect(await ask(`https://localhost:${port}/user`, user, { tls: options })).toBe('cut')
    tls.close()
  })
})

describe('options', () => {
  const sound = { guard: guard({ authenticate: new Words(manualClock(), []).mechanism }), broker: { secret: proof }, port: 0 }
  it.each<[string, object]>([
    ['a secret that is short', { broker: { secret: 'short' } }],
    ['a secret that needs encoding', { broker: { secret: `${proof}/` } }],
    ['no secret', { broker: {} }],
    ['no broker', { broker: undefined }],
    ['a secret elsewhere', { broker: { secret: proof, host: '0.0.0.0' } }],
    ['TLS without a guard', { broker: { tls: {} } }],
    ['both', { broker: { tls: {}, guard: sound.guard, secret: proof } }],
    ['a misspelt option', { permitt: () => undefined }],
    ['no port', { port: undefined }],
    ['no guard', { guard: undefined }],
    ['a kind that does not exist', { credential: 'password' }],
    ['no lifetime', { maxLifetimeMs: 0 }],
    ['no rule', { permit: 'everything' }],
  ])('with %s are refused', async (_what, wrong) => {
    await expect(authority({ ...sound, ...wrong } as never)).rejects.toMatchObject({ family: 'configuration' })
  })

  it('leave nothing behind where the port is taken', async () => {
    const first = await authority(sound)
    open.push(first)
    await expect(authority({ ...sound, port: first.port })).rejects.toMatchObject({ code: 'EADDRINUSE' })
    await first.close()
    open.push(await authority({ ...sound, port: first.port }))
  })
})
