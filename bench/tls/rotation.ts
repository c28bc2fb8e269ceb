import { attach, connectTls, secureServerOptions, tlsBundle } from '@portcullis/tls'
import { createDevelopmentCertificates } from '@portcullis/tls/development'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import type { RunOptions, Table } from '../table.ts'

/** How many handshakes fail while key pair and trust rotate as fast as they can. */
export async function run({ quick }: RunOptions): Promise<Table> {
  const folder = await mkdtemp(path.join(tmpdir(), 'portcullis-bench-'))
  try {
    const directory = path.join(folder, 'certificates')
    const files = await createDevelopmentCertificates({ directory })
    const bundle = await tlsBundle({
      side: 'server',
      identity: { key: { pemFile: files.server.key }, certificates: { pemFile: files.server.certificate } },
      checkFilesEveryMs: 'off',
    })
    const client = await tlsBundle({ side: 'client', trust: { pemFile: files.authority }, resumption: 'off', checkFilesEveryMs: 'off' })
    const server = createServer(secureServerOptions(bundle))
    attach(server, bundle)
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const { port } = server.address() as AddressInfo
    const until = performance.now() + (quick ? 500 : 10_000)
    let [handshakes, failed, reloads, longest] = [0, 0, 0, 0]
    const load = async (): Promise<void> => {
      while (performance.now() < until) {
        try {
          const socket = await connectTls(client, { host: 'localhost', port })
          socket.on('error', () => undefined).destroy()
        } catch {
          failed += 1
        }
        handshakes += 1
      }
    }
    const rotate = async (): Promise<void> => {
      while (performance.now() < until) {
        const begun = performance.now()
        await bundle.reload()
        longest = Math.max(longest, performance.now() - begun)
        reloads += 1
      }
    }
    await Promise.all([rotate(), ...Array.from({ length: 8 }, load)])
    server.close()
    return {
      title: 'TLS: reloading under load',
      note: 'Eight clients connect without a pause while the bundle of the server is reloaded without a pause, in one process.',
      columns: ['handshakes', 'reloads', 'failed handshakes', 'longest reload'],
      rows: [[handshakes, reloads, failed, `${longest.toFixed(0)} ms`]],
    }
  } finally {
    await rm(folder, { recursive: true })
  }
}
