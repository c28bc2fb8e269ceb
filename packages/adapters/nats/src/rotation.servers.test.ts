import { writeFileSync } from 'node:fs'
import { setTimeout as wait } from 'node:timers/promises'
import { secret, type CredentialSource } from '@portcullis/core'
import { startNats } from '@portcullis/test-servers'
import { tlsBundle } from '@portcullis/tls'
import { expect, it } from 'vitest'
import { consumer, producer } from './index.ts'
import { Scene, warehouse } from './nats.test-support.ts'

it(
  'a consumer and a producer live through ten rotations of their password and three of their certificate, and lose nothing',
  { timeout: 60_000 },
  async () => {
    const configOf = (...passwords: string[]): string =>
      `authorization { users = [ ${passwords.map((password, at) => `{ user: u${at}, password: "${password}" }`).join(', ')} ] }`
    // The server takes two at a time, the old one for one rotation longer, as a rotation in production does.
    const server = await startNats({ jetstream: true, clientCertificate: 'verify', config: configOf('p0', 'p0') })
    const { pki } = server
    const first = pki.issue({ name: 'worker' })
    const bundle = await tlsBundle({
      side: 'client',
      trust: { pem: pki.ca.certificate },
      identity: { key: { pemFile: first.keyFile }, certificates: { pemFile: first.certificateFile } },
      checkFilesEveryMs: 'off',
    })
    await using scene = new Scene(server)
    let round = 0
    let asked = 0
    const credentials: CredentialSource = () => {
      asked++
      return {
        credential: { kind: 'basic', carrier: 'connect', username: `u${round % 2}`, password: secret(`p${round}`) },
        expiresAt: new Date(Date.now() + 1_000),
      }
    }
    const opened = await scene.open({ tls: bundle, credentials })
    const manager = await opened.open()
    const { jetstreamManager } = await import('@nats-io/jetstream')
    const admin = await jetstreamManager(manager)
    await admin.streams.add({ name: 'S', subjects: ['orders'] })
    await admin.consumers.add('S', { durable_name: 'worker', ack_policy: 'explicit', ack_wait: 2_000_000_000 })
    const heard: string[] = []
    await using listening = await consumer(
      { client: opened, stream: 'S', consumer: 'worker', guard: warehouse(), deadLetter: 'dead' },
      (message) => void heard.push(message.content.toString()),
    )
    await using shop = await producer({ client: opened, identity: scene.sign(), maxAttempts: 20 })
    const sent: string[] = []
    const passwords: [string, string] = ['p0', 'p0']
    for (let at = 0; at < 10; at++) {
      round++
      passwords[round % 2] = `p${round}`
      await server.reload(configOf(...passwords))
      if (at % 3 === 0) {
        const next = pki.issue({ name: `worker-${at}` })
        writeFileSync(first.keyFile, next.key)
        writeFileSync(first.certificateFile, next.certificate)
        await bundle.reload()
      }
      const until = Date.now() + 1_200
      while (Date.now() < until) {
        const text = `message ${sent.length}`
        await shop.send({ subject: 'orders', content: text })
        sent.push(text)
        await wait(5)
      }
    }
    await expect.poll(() => heard.length, { timeout: 15_000 }).toBeGreaterThanOrEqual(sent.length)
    expect(new Set(heard)).toEqual(new Set(sent))
    expect(heard.length).toBe(sent.length)
    // Each of the three connections asked for each password.
    expect(asked).toBeGreaterThanOrEqual(30)
    await manager.close()
    bundle.close()
    void listening
  },
)
