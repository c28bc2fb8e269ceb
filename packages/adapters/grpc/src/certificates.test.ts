import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Client, status } from '@grpc/grpc-js'
import { guard, type AuditEvent } from '@portcullis/core'
import { manualClock } from '@portcullis/core/testing'
import { testPki } from '@portcullis/testkit'
import { clientCertificate, tlsBundle, type ClientTlsBundle } from '@portcullis/tls'
import { developmentTls } from '@portcullis/tls/development'
import { describe, expect, it, onTestFinished } from 'vitest'
import { client, serve, service } from './index.ts'
import { guarding, heard, refusal, source, stub, texts, textMethod, token } from './text-service.test-support.ts'

const definition = { say: texts.say, follow: texts.follow }
const connect = async (port: number, tls: ClientTlsBundle, credential?: string) => {
  const made = await client(Client, { host: 'localhost', port, tls, ...(credential !== undefined && { source: source(credential) }) })
  onTestFinished(() => made.close())
  return stub(made)
}

describe('certificates', () => {
  it('prove a client, and nobody without one', async () => {
    const tls = await developmentTls({ clientCertificates: 'accept' })
    const events: AuditEvent[] = []
    const by = guard({
      authenticate: clientCertificate({
        tls: tls.server,
        issuers: { development: { by: 'dns', principals: { 'alice.localhost': ['read'] } } },
      }),
      audit: (event) => events.push(event),
    })
    const naming = service({
      definition: { say: texts.say },
      guard: by,
      handlers: { say: (_call, { issuer, subject }) => `${issuer} ${subject}` },
    })
    await using listener = await serve({ tls: tls.server, guard: by, services: [naming] })
    expect(await (await connect(listener.port, await tls.clientFor('alice'))).say()).toBe('development alice.localhost')
    expect(await refusal((await connect(listener.port, await tls.clientFor('mallory'))).say())).toMatch(/^UNAUTHENTICATED/)
    expect(await refusal((await connect(listener.port, tls.client)).say())).toMatch(/^UNAUTHENTICATED/)
    const foreign = await developmentTls({ clientCertificates: 'accept' })
    const stranger = await tlsBundle({ side: 'client', trust: { pem: tls.authority }, checkFilesEveryMs: 'off' })
    expect(await refusal((await connect(listener.port, stranger)).say())).toMatch(/^UNAUTHENTICATED/)
    expect(
      await refusal((await connect(listener.port, await foreign.clientFor('alice'))).say('a', undefined, { deadline: Date.now() + 2_000 })),
    ).toMatch(/^(?:UNAVAILABLE|DEADLINE_EXCEEDED)/)
  })

  it('are exchanged while 200 connections are live: no stream ends, and new connections see the new one', { timeout: 60_000 }, async () => {
    const pki = await testPki()
    const folder = await mkdtemp(join(tmpdir(), 'portcullis-grpc-'))
    onTestFinished(() => rm(folder, { recursive: true }))
    const pemFile = join(folder, 'server.pem')
    await writeFile(pemFile, pki.servers.sound.pem)
    const tls = await tlsBundle({ side: 'server', identity: { pemFile }, checkFilesEveryMs: 'off' })
    onTestFinished(() => tls.close())
    const trusting = (authority: 'sound' | 'renewed') =>
      tlsBundle({ side: 'client', trust: { pem: pki.authorities[authority] }, checkFilesEveryMs: 'off' })
    const setting = guarding()
    const pushes: ((text: string) => void)[] = []
    const news = service({
      definition,
      guard: setting.guard,
      handlers: { say: (_call, { subject }) => subject, follow: (call) => void pushes.push((text) => call.write(text)) },
    })
    await using listener = await serve({ tls, guard: setting.guard, services: [news] })
    const before = await trusting('sound')
    const streams = await Promise.all(
      Array.from({ length: 200 }, async () => (await connect(listener.port, before, token('alice'))).follow()),
    )
    await expect.poll(() => pushes.length, { timeout: 20_000 }).toBe(200)
    const calls = await connect(listener.port, before, token('alice'))
    await calls.say()
    await writeFile(pemFile, pki.servers.renewed.pem)
    await tls.reload()
    expect(await calls.say()).toBe('alice')
    expect(await (await connect(listener.port, await trusting('renewed'), token('bob'))).say()).toBe('bob')
    expect(
      await refusal(
        (await connect(listener.port, await trusting('sound'), token('bob'))).say('a', undefined, { deadline: Date.now() + 2_000 }),
      ),
    ).toMatch(/^(?:UNAVAILABLE|DEADLINE_EXCEEDED)/)
    for (const push of pushes) push('still there')
    await expect.poll(() => streams.every(({ received }) => received.length === 1), { timeout: 20_000 }).toBe(true)
  })

  it('end the connections of a client that trusts their authority no more', async () => {
    const pki = await testPki()
    const folder = await mkdtemp(join(tmpdir(), 'portcullis-grpc-'))
    onTestFinished(() => rm(folder, { recursive: true }))
    const pemFile = join(folder, 'servers.pem')
    await writeFile(pemFile, pki.authorities.sound)
    const clock = manualClock(Date.now())
    const trusting = await tlsBundle({ side: 'client', trust: { pemFile }, checkFilesEveryMs: 'off', clock })
    const tls = await tlsBundle({ side: 'server', identity: { pem: pki.servers.sound.pem }, checkFilesEveryMs: 'off' })
    onTestFinished(() => {
      trusting.close()
      tls.close()
    })
    const { guard: by } = guarding()
    const open = { follow: textMethod('/test.Open/follow', false, true) }
    const opening = service({ definition: open, guard: by, handlers: { follow: (call) => void call.write('open') } })
    await using listener = await serve({ tls, guard: by, services: [opening] })
    const made = await client(Client, { host: 'localhost', port: listener.port, tls: trusting, source: source(token('alice')) })
    onTestFinished(() => made.close())
    const { requestSerialize, responseDeserialize } = open.follow
    const { received, ended } = heard(made.makeServerStreamRequest(open.follow.path, requestSerialize, responseDeserialize, 'x'))
    await expect.poll(() => received).toEqual(['open'])
    await writeFile(pemFile, pki.authorities.renewed)
    await trusting.reload()
    clock.advance(1_000)
    expect(await ended).toMatchObject({ code: status.UNAVAILABLE })
  })

  it('end the streams of their holders when their authority leaves the bundle', async () => {
    const pki = await testPki()
    const folder = await mkdtemp(join(tmpdir(), 'portcullis-grpc-'))
    onTestFinished(() => rm(folder, { recursive: true }))
    const pemFile = join(folder, 'clients.pem')
    await writeFile(pemFile, pki.authorities.clients)
    const tls = await tlsBundle({
      side: 'server',
      identity: { pem: pki.servers.sound.pem },
      clientCertificates: { accept: { clients: { pemFile } } },
      checkFilesEveryMs: 'off',
    })
    onTestFinished(() => tls.close())
    const by = guard({ authenticate: clientCertificate({ tls, issuers: { clients: { by: 'thumbprint', everyone: { scopes: [] } } } }) })
    const open = { follow: textMethod('/test.Open/follow', false, true) }
    const opening = service({ definition: open, guard: by, handlers: { follow: (call) => void call.write('open') } })
    await using listener = await serve({ tls, guard: by, services: [opening] })
    const alice = await tlsBundle({
      side: 'client',
      trust: { pem: pki.authorities.sound },
      identity: { pem: pki.clients.alice.pem },
      checkFilesEveryMs: 'off',
    })
    const made = await client(Client, { host: 'localhost', port: listener.port, tls: alice })
    onTestFinished(() => made.close())
    const { requestSerialize, responseDeserialize } = open.follow
    const { received, ended } = heard(made.makeServerStreamRequest(open.follow.path, requestSerialize, responseDeserialize, 'x'))
    await expect.poll(() => received).toEqual(['open'])
    await writeFile(pemFile, pki.authorities.renewed)
    await tls.reload()
    expect(await ended).toMatchObject({ code: status.UNAUTHENTICATED, details: 'The credential was revoked.' })
  })
})
