import { secret, type CredentialSource } from '@portcullis/core'
import { createPki } from '@portcullis/test-servers'
import { describe, expect, it } from 'vitest'
import { clientSettings, type ClientOptions } from './client-options.ts'
import { plaintext } from './danger.ts'

const tls = { side: 'client', trust: { pem: createPki().ca.certificate } } as const
const source: CredentialSource = () => ({ credential: { kind: 'basic', carrier: 'sasl', username: 'a', password: secret('b') } })
const sasl = { mechanism: 'PLAIN', source } as const
const sound: ClientOptions = { brokers: ['broker.example:9094', '[::1]:9094'], tls, sasl }

describe('a client', () => {
  it('is asked for by its first broker, or by the name of the cluster', async () => {
    const usual = await clientSettings(sound)
    expect(usual).toMatchObject({ origin: 'kafka://broker.example:9094', clientId: 'portcullis' })
    usual.close()
    const named = await clientSettings({ ...sound, sasl: { ...sasl, origin: 'kafka://cluster:1' } })
    expect(named.origin).toBe('kafka://cluster:1')
    named.close()
  })

  it.each([
    // No credential leaves without TLS.
    { tls: plaintext },
    { tls: undefined },
    { tls: { side: 'server' } },
    { brokers: [] },
    { brokers: ['broker.example'] },
    { brokers: ['user:pw@broker.example:9094'] },
    { brokers: ['kafka://broker.example:9094'] },
    { brokers: [''] },
    { clientId: '' },
    { serverName: '' },
    { connectTimeoutMs: 0 },
    { sessionMs: Number.NaN },
    { sals: sasl },
  ])('is not made with %o', async (change) => {
    await expect(clientSettings({ ...sound, ...change } as never)).rejects.toMatchObject({ family: 'configuration' })
  })
})
