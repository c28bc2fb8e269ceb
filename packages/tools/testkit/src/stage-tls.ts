import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import type { Clock } from '@portcullis/core'
import { manualClock } from '@portcullis/core/testing'
import { tlsBundle, type ClientTlsBundle, type ServerTlsBundle, type TlsBundle } from '@portcullis/tls'

import type { CertificateName, ServerName, TestPki } from './pki.ts'

/** The TLS bundles of one scenario. The server's key pair is in a file, so that it can be exchanged as in life. */
export class StageTls {
  readonly #pki: TestPki
  readonly #clock: Clock
  readonly #bundles: TlsBundle[] = []
  #folder: string | undefined
  #server: ServerTlsBundle | undefined

  constructor(pki: TestPki, clock: Clock) {
    this.#pki = pki
    this.#clock = clock
  }

  async server(name: ServerName, clientCertificates: 'accept' | 'require'): Promise<ServerTlsBundle> {
    const trust = { clients: { pem: this.#pki.authorities.clients } }
    await this.#write(name)
    this.#server = await tlsBundle({
      side: 'server',
      identity: { pemFile: this.#file() },
      clientCertificates: clientCertificates === 'require' ? { require: trust } : { accept: trust },
      checkFilesEveryMs: 'off',
      // A bundle takes no key pair that is out of date: this one was made in time.
      clock: name === 'expired' ? manualClock(this.#clock.now() - 1.5 * 86_400_000) : this.#clock,
    })
    this.#bundles.push(this.#server)
    return this.#server
  }

  async swapServer(name: ServerName): Promise<void> {
    await this.#write(name)
    await this.#server?.reload()
  }

  async client(certificate: CertificateName | undefined): Promise<ClientTlsBundle> {
    const bundle = await tlsBundle({
      side: 'client',
      trust: { pem: this.#pki.authorities.sound },
      ...(certificate !== undefined && { identity: { pem: this.#pki.clients[certificate].pem } }),
      checkFilesEveryMs: 'off',
      clock: this.#clock,
    })
    this.#bundles.push(bundle)
    return bundle
  }

  async close(): Promise<void> {
    for (const bundle of this.#bundles) bundle.close()
    if (this.#folder !== undefined) await rm(this.#folder, { recursive: true, force: true })
  }

  async #write(name: ServerName): Promise<void> {
    this.#folder ??= await mkdtemp(join(tmpdir(), 'portcullis-testkit-'))
    await writeFile(this.#file(), this.#pki.servers[name].pem, { mode: 0o600 })
  }

  #file(): string {
    return join(this.#folder ?? '', 'server.pem')
  }
}
