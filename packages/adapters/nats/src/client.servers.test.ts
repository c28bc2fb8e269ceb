import { connect as connectOld } from 'nats'
import { setTimeout as wait } from 'node:timers/promises'
import { keepWarm, secret, type CredentialSource, type Supplied } from '@portcullis/core'
import { createPki, startNats } from '@portcullis/test-servers'
import { tlsBundle } from '@portcullis/tls'
import { createAccount, createOperator, createUser, encodeAccount, encodeOperator, encodeUser, fmtCreds } from '@nats-io/jwt'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { connect } from '@nats-io/transport-node'
import { writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { natsOptions, nkeyCredentials, userJwtCredentials, type ClientOptions } from './index.ts'
import { Scene } from './nats.test-support.ts'

const user = createUser()
const seed = new TextDecoder().decode(user.getSeed())
const users = `authorization { timeout: 2, users = [ { user: user, password: password }, { nkey: ${user.getPublicKey()} } ] }`
let scene: Scene
beforeAll(async () => {
  scene = new Scene(await startNats({ config: users }))
}, 60_000)
afterAll(() => scene?.[Symbol.asyncDispose]())

const codeOf = async (options: Partial<ClientOptions>, at = scene): Promise<unknown> =>
  (await at.open(options)).open().then(
    (connection) => connection.close(),
    (error: { code: unknown }) => error.code,
  )

describe('a client', () => {
  it('is let in by name and password, and by NKey', async () => {
    const nkey = nkeyCredentials({ seed, targets: [scene.origin] })
    for (const options of [{}, { credentials: nkey }]) {
      const connection = await (await scene.open(options)).open()
      await connection.flush()
      await connection.close()
    }
  })

  it('is let in by token, and where the greeting is inside TLS', async () => {
    await using own = new Scene(await startNats({ config: 'authorization { token: s3cr3t }', handshakeFirst: true }))
    const token =
      (text: string): CredentialSource =>
      () => ({ credential: { kind: 'bearer', carrier: 'connect', token: secret(text) } })
    const connection = await (await own.open({ credentials: token('s3cr3t'), handshakeFirst: true })).open()
    await connection.close()
    expect(await codeOf({ credentials: token('wrong'), handshakeFirst: true }, own)).toBe('ERR_NATS_CREDENTIAL_REFUSED')
  })

  it('is let in by user JWT, which is read anew; an expired one is refused', async () => {
    const [operator, account, jwtUser] = [createOperator(), createAccount(), createUser()]
    const accountJwt = await encodeAccount(
      'A',
      account,
      { limits: { subs: -1, conn: -1, data: -1, payload: -1, imports: -1, exports: -1, wildcards: true, leaf: -1 } },
      { signer: operator },
    )
    const config = `operator: ${await encodeOperator('O', operator)}\nresolver: MEMORY\nresolver_preload: { ${account.getPublicKey()}: ${accountJwt} }`
    await using own = new Scene(await startNats({ config }))
    const creds = async (lifeSeconds: number): Promise<string> => {
      const exp = Math.floor(Date.now() / 1_000) + lifeSeconds
      return new TextDecoder().decode(fmtCreds(await encodeUser('u', jwtUser, account, {}, { exp }), jwtUser))
    }
    let read = 0
    const credentials = userJwtCredentials({
      creds: () => {
        read++
        return creds(3)
      },
      targets: [own.origin],
    })
    const connection = await (await own.open({ credentials })).open()
    const statuses: string[] = []
    void (async () => {
      for await (const { type } of connection.status()) statuses.push(type)
    })()
    await wait(5_500)
    expect(read).toBeGreaterThanOrEqual(3)
    // Ahead of the expiry, so that the server never has to end it.
    expect(statuses).toContain('reconnect')
    expect(statuses).not.toContain('error')
    await connection.flush()
    await connection.close()
    const late = userJwtCredentials({ creds: () => creds(-10), targets: [own.origin] })
    expect(await codeOf({ credentials: late }, own)).toBe('ERR_NATS_CREDENTIAL_REFUSED')
  })

  it('is known by its certificate; another, an untrusted one, or none is told apart', async () => {
    const config = 'authorization { users = [ { user: "alice@avix.test" } ] }'
    await using own = new Scene(await startNats({ clientCertificate: 'map', config }))
    const certified = (name: string, pki = own.server.pki): Partial<ClientOptions> => {
      const { key, certificate } = pki.issue({ name, email: [`${name}@avix.test`] })
      return {
        tls: { ...own.trust(), identity: { key: { pem: key }, certificates: { pem: certificate } } },
        credentials: 'certificate',
        timeoutMs: 1_000,
      }
    }
    const connection = await (await own.open(certified('alice'))).open()
    await connection.close()
    expect(await codeOf(certified('mallory'), own)).toBe('ERR_NATS_CREDENTIAL_REFUSED')
    expect(await codeOf({ credentials: 'certificate', timeoutMs: 1_000 }, own)).toBe('ERR_NATS_CERTIFICATE_REFUSED')
    expect(await codeOf(certified('alice', createPki()), own)).toBe('ERR_NATS_CERTIFICATE_REFUSED')
  })

  it('tells each refusal by its own code, and sends no password twice', async () => {
    expect(await codeOf({ credentials: scene.as('user', 'wrong') })).toBe('ERR_NATS_CREDENTIAL_REFUSED')
    const stranger = new TextDecoder().decode(createUser().getSeed())
    expect(await codeOf({ credentials: nkeyCredentials({ seed: stranger, targets: [scene.origin] }) })).toBe('ERR_NATS_CREDENTIAL_REFUSED')
    expect(await codeOf({ credentials: nkeyCredentials({ seed: 'SUNK', targets: [scene.origin] }) })).toBe('ERR_NATS_CREDENTIAL')
    expect(await codeOf({ credentials: 'certificate' })).toBe('ERR_NATS_CREDENTIAL_REFUSED')
    expect(await codeOf({ serverName: 'elsewhere.example' })).toBe('ERR_NATS_HOST_NAME')
    expect(await codeOf({ tls: { side: 'client' } })).toBe('ERR_NATS_SERVER_UNTRUSTED')
    expect(await codeOf({ servers: 'tls://localhost:1', credentials: 'certificate' })).toBe('ERR_NATS_UNAVAILABLE')
    expect(await codeOf({ credentials: () => ({ credential: { kind: 'dpop', carrier: 'a', token: secret('b'), proof: 'c' } }) })).toBe(
      'ERR_NATS_CREDENTIAL',
    )
    let asked = 0
    const counting: CredentialSource = () => {
      asked++
      return { credential: { kind: 'basic', carrier: 'connect', username: 'user', password: secret('wrong') } }
    }
    expect(await codeOf({ credentials: counting })).toBe('ERR_NATS_CREDENTIAL_REFUSED')
    expect(asked).toBe(2)
  })

  it('checks the name of an address, too', async () => {
    const credentials = (): Supplied => ({
      credential: { kind: 'basic', carrier: 'connect', username: 'user', password: secret('password') },
    })
    const connection = await (await scene.open({ servers: `tls://127.0.0.1:${scene.server.port}`, credentials })).open()
    await connection.close()
    expect(await codeOf({ servers: `tls://127.0.0.1:${scene.server.port}`, credentials, serverName: '127.0.0.2' })).toBe(
      'ERR_NATS_HOST_NAME',
    )
  })

  it('takes another server of the cluster when one is away, and each by its own name', async () => {
    const credentials = (): Supplied => ({
      credential: { kind: 'basic', carrier: 'connect', username: 'user', password: secret('password') },
    })
    const { port } = scene.server
    for (const servers of [
      ['tls://127.0.0.1:1', scene.origin],
      [scene.origin, 'tls://localhost:1'],
      [`tls://127.0.0.1:${port}`, 'tls://other.example:1'],
    ] as const) {
      const connection = await (await scene.open({ servers, credentials })).open()
      await connection.close()
    }
  })

  it('says nothing to a server without TLS, nor to one that is none', async () => {
    const heard: string[] = []
    const greeting = (text: string) =>
      createServer((socket) => {
        socket.on('error', () => undefined)
        socket.on('data', (chunk: Buffer) => heard.push(chunk.toString('latin1')))
        socket.write(text)
      })
    const plain = greeting('INFO {"server_id":"x","version":"2.15.0","proto":1,"max_payload":1000}\r\n').listen(0, '127.0.0.1')
    const other = greeting('220 mail.example ESMTP\r\n').listen(0, '127.0.0.1')
    const at = (server: typeof plain): string => `tls://127.0.0.1:${(server.address() as { port: number }).port}`
    const credentials = (): Supplied => ({
      credential: { kind: 'basic', carrier: 'connect', username: 'user', password: secret('password') },
    })
    await wait(50)
    expect(await codeOf({ servers: at(plain), credentials })).toBe('ERR_NATS_TLS_REQUIRED')
    expect(await codeOf({ servers: at(other), credentials })).toBe('ERR_NATS_TLS_MISMATCH')
    expect(heard).toEqual([])
    plain.close()
    other.close()
  })

  it.each(['nats://localhost:4222', 'tls://user:pw@localhost', 'tls://localhost/x', 'https://localhost', 'localhost:4222', ''])(
    'is not made for %s',
    async (servers) => {
      await expect(scene.open({ servers })).rejects.toMatchObject({ code: 'ERR_OPTION_INVALID' })
    },
  )
})

describe('a connection', () => {
  it('goes over to another credential when the server refuses the one that it has, and ends when there is none', async () => {
    await using own = new Scene(await startNats())
    let password = 'password'
    const source: CredentialSource = () => ({
      credential: { kind: 'basic', carrier: 'connect', username: 'user', password: secret(password) },
    })
    const connection = await (await own.open({ credentials: source })).open()
    password = 'second'
    await own.server.reload('authorization { users = [ { user: user, password: second } ] }')
    await expect
      .poll(
        () =>
          connection.flush().then(
            () => 'alive',
            () => 'not yet',
          ),
        { timeout: 10_000 },
      )
      .toBe('alive')
    await own.server.reload('authorization { users = [ { user: user, password: third } ] }')
    const error = await connection.closed()
    expect(error).toMatchObject({ code: 'ERR_NATS_CREDENTIAL_REFUSED' })
  })

  it('asks a source that has nothing newer again and again, and not without a pause', async () => {
    let asked = 0
    const expiresAt = new Date(Date.now() + 300)
    const source: CredentialSource = () => {
      asked++
      return { credential: { kind: 'basic', carrier: 'connect', username: 'user', password: secret('password') }, expiresAt }
    }
    const connection = await (await scene.open({ credentials: source })).open()
    await wait(2_600)
    expect(asked).toBeGreaterThanOrEqual(3)
    expect(asked).toBeLessThanOrEqual(4)
    await connection.close()
  })

  it('takes a source that is slow after a refusal for an outage, and sends what was refused no second time meanwhile', async () => {
    await using own = new Scene(await startNats())
    const refusals = (): number => own.server.log().split('authentication error').length - 1
    let slow = false
    const source: CredentialSource = async ({ refused }) => {
      if (refused !== undefined) {
        slow = true
        await wait(3_000)
      }
      const password = secret(refused === undefined ? 'password' : 'second')
      return { credential: { kind: 'basic', carrier: 'connect', username: 'user', password }, expiresAt: new Date(Date.now() + 900) }
    }
    const connection = await (await own.open({ credentials: source })).open()
    await own.server.reload('authorization { users = [ { user: user, password: second } ] }')
    expect(await connection.closed()).toMatchObject({ code: 'ERR_NATS_RENEWAL', family: 'unavailable' })
    expect(slow).toBe(true)
    expect(refusals()).toBeLessThanOrEqual(1)
  })

  it('ends when the server no longer takes its certificate', async () => {
    await using own = new Scene(await startNats({ clientCertificate: 'verify' }))
    const good = own.server.pki.issue({ name: 'alice' })
    const bundle = await tlsBundle({
      ...own.trust(),
      identity: { key: { pemFile: good.keyFile }, certificates: { pemFile: good.certificateFile } },
    })
    const warnings: unknown[] = []
    const opened = await own.open({ tls: bundle, timeoutMs: 500, onWarning: (error) => warnings.push(error) })
    const connection = await opened.open()
    const foreign = createPki().issue({ name: 'alice' })
    writeFileSync(good.keyFile, foreign.key)
    writeFileSync(good.certificateFile, foreign.certificate)
    await bundle.reload()
    await connection.closed()
    expect(warnings).toContainEqual(expect.objectContaining({ code: 'ERR_NATS_CERTIFICATE_REFUSED' }))
    bundle.close()
  })

  it.each([
    ['@nats-io/transport-node', connect],
    ['nats', connectOld],
  ])('can be made with %s and the pieces alone', async (_name, open) => {
    const bundle = await tlsBundle(scene.trust())
    using warm = keepWarm(nkeyCredentials({ seed, targets: [scene.origin] }), { origin: scene.origin, secure: true })
    await warm.ready()
    const connection = await open({ ...natsOptions({ servers: scene.origin, tls: bundle, credentials: warm }), reconnect: false })
    await connection.flush()
    await connection.close()
    await expect(
      open({
        ...natsOptions({ servers: scene.origin, tls: bundle, credentials: warm, serverName: 'elsewhere.example' }),
        reconnect: false,
      }),
    ).rejects.toThrow()
    bundle.close()
  })
})
