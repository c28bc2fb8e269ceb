import { createPrivateKey, X509Certificate } from 'node:crypto'
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { describe, expect, it, onTestFinished } from 'vitest'

import { attempt, Authority, clientBundle, contextOf, serve, serverBundle } from './authorities.test-support.ts'
import { createDevelopmentCertificates } from './development.ts'
import { developmentAuthority } from './development-authority.ts'
import { writeCertificate, type CertificateContent } from './write-certificate.ts'

async function folder(): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'portcullis-certs-'))
  onTestFinished(() => rm(path, { recursive: true }))
  return join(path, 'certificates')
}

describe('createDevelopmentCertificates', () => {
  it('writes a server and clients that know each other', async () => {
    const directory = await folder()
    const files = await createDevelopmentCertificates({ directory, names: ['localhost', 'sts.localhost', '127.0.0.2'], clients: ['alice'] })
    const alice = files.clients.get('alice')
    if (alice === undefined) throw new Error('no client')
    const bundle = await serverBundle({
      identity: { key: { pemFile: files.server.key }, certificates: { pemFile: files.server.certificate } },
      clientCertificates: { require: { development: { pemFile: files.authority } } },
    })
    const seen = await serve(bundle)
    const client = await clientBundle({
      trust: { pemFile: files.authority },
      identity: { key: { pemFile: alice.key }, certificates: { pemFile: alice.certificate } },
    })
    expect(await attempt(seen.port, client)).toMatchObject({ outcome: 'hello' })
    expect(seen.peers).toHaveLength(1)
    const server = new X509Certificate(await readFile(files.server.certificate))
    for (const name of ['localhost', 'sts.localhost']) expect(server.checkHost(name)).toBe(name)
    for (const address of ['127.0.0.1', '127.0.0.2', '::1']) expect(server.checkIP(address)).toBe(address)
  })

  it('writes files for their owner only, ignored by Git, and throws the key of the authority away', async () => {
    const directory = await folder()
    const files = await createDevelopmentCertificates({ directory, clients: ['alice'] })
    const names = await readdir(directory)
    expect(names.toSorted()).toEqual(['.gitignore', 'authority.crt', 'client-alice.crt', 'client-alice.key', 'server.crt', 'server.key'])
    for (const name of names) expect((await stat(join(directory, name))).mode & 0o777).toBe(0o600)
    expect((await stat(directory)).mode & 0o777).toBe(0o700)
    expect(await readFile(join(directory, '.gitignore'), 'utf8')).toBe('*\n')
    expect(files.authorityKey).toBeUndefined()
    const kept = await createDevelopmentCertificates({ directory, keepCaKey: true })
    expect(kept.authorityKey).toBe(join(directory, 'authority.key'))
    expect(
      new X509Certificate(await readFile(kept.authority)).checkPrivateKey(
        createPrivateKey(await readFile(join(directory, 'authority.key'))),
      ),
    ).toBe(true)
  })

  it('makes an authority that says what it is and ends after 30 days', async () => {
    const { authority, expiresAt } = await createDevelopmentCertificates({ directory: await folder() })
    const certificate = new X509Certificate(await readFile(authority))
    expect(certificate.subject).toMatch(/development/)
    expect(certificate.ca).toBe(true)
    expect(certificate.validToDate).toEqual(expiresAt)
    expect(Math.round((expiresAt.getTime() - Date.now()) / 86_400_000)).toBe(30)
  })

  it('refuses a folder of other files, and names of other machines', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'portcullis-certs-'))
    onTestFinished(() => rm(directory, { recursive: true }))
    await writeFile(join(directory, 'mine.txt'), 'mine')
    await expect(createDevelopmentCertificates({ directory })).rejects.toMatchObject({ code: 'ERR_OPTION_INVALID' })
    expect(await readdir(directory)).toEqual(['mine.txt'])
    const wrong: unknown[] = [
      { directory: '' },
      { directory: await folder(), names: [] },
      { directory: await folder(), names: ['example.org'] },
      { directory: await folder(), names: ['192.168.0.1'] },
      { directory: await folder(), clients: ['../alice'] },
      { directory: await folder(), client: ['alice'] },
    ]
    for (const options of wrong) {
      await expect(createDevelopmentCertificates(options as never)).rejects.toMatchObject({ code: expect.stringMatching(/^ERR_OPTION_/) })
    }
  })
})

describe('an authority of development whose key was stolen', () => {
  const serverContent = { usages: ['serverAuth'], commonName: 'server' } as const
  const names: Record<string, CertificateContent['names']> = {
    'another DNS name': { dns: ['example.org'] },
    'another address': { ip: [Buffer.of(10, 0, 0, 1)] },
    'another IPv6 address': { dns: ['localhost'], ip: [Buffer.alloc(16, 2)] },
  }
  for (const [what, alternative] of Object.entries(names)) {
    it(`cannot certify ${what} to a client that trusts it`, async () => {
      const { issued } = await developmentAuthority(Date.now())
      const authority = new Authority(issued)
      const seen = await serve(
        await serverBundle({ identity: await authority.server({ ...serverContent, ...(alternative && { names: alternative }) }) }),
      )
      const { outcome } = await attempt(seen.port, await clientBundle({ trust: authority.trust }), { checkServerIdentity: () => undefined })
      expect(outcome).toBe('permitted subtree violation')
    })
  }

  it('cannot certify other e-mail addresses or URIs, or a further authority, to a server', async () => {
    const { issued } = await developmentAuthority(Date.now())
    const authority = new Authority(issued)
    const servers = await Authority.root('Servers')
    const seen = await serve(
      await serverBundle({ identity: await servers.server(), clientCertificates: { require: { development: authority.trust } } }),
    )
    const client = await clientBundle({ trust: servers.trust })
    const further = new Authority(
      await writeCertificate({
        commonName: 'further',
        notBefore: new Date(),
        notAfter: issued.certificate.validToDate,
        authority: { pathLength: 0 },
        issuer: issued,
      }),
    )
    const good = await authority.client({ names: { email: ['a@localhost'], uri: ['spiffe://localhost/a'] } })
    const bad = [
      await authority.client({ names: { email: ['a@example.org'] } }),
      await authority.client({ names: { uri: ['spiffe://example.org/a'] } }),
      await further.client({}, [further]),
    ]
    expect(await attempt(seen.port, client, { secureContext: await contextOf(servers.trust, good) })).toMatchObject({ outcome: 'hello' })
    for (const identity of bad) {
      const { outcome } = await attempt(seen.port, client, { secureContext: await contextOf(servers.trust, identity) })
      expect(outcome).not.toBe('hello')
    }
    expect(seen.refusals).toEqual(['ERR_TLS_PEER_UNTRUSTED', 'ERR_TLS_PEER_UNTRUSTED', 'ERR_TLS_PEER_UNTRUSTED'])
  })
})
