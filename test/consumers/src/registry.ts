/** A package registry for one scope: it serves the tarballs in a folder, so that npm installs them as it would any release. */
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { readFileSync, readdirSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'

export interface Registry {
  readonly url: string
  close(): void
}

/** Serves every `.tgz` of the folder on a loopback port. */
export async function serveTarballs(folder: string): Promise<Registry> {
  const server = createServer((request, response) => {
    const path = decodeURIComponent(request.url ?? '/').slice(1)
    const body = documents.get(path) ?? tarballs.get(path)
    response.writeHead(body === undefined ? 404 : 200).end(body)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`
  const tarballs = new Map(readdirSync(folder).map((file) => [file, readFileSync(join(folder, file))]))
  const documents = new Map([...tarballs].map(([file, bytes]) => describeRelease(join(folder, file), `${url}${file}`, bytes)))
  return { url, close: () => server.close() }
}

/** The registry's document about a package that has this one release. */
function describeRelease(file: string, tarball: string, bytes: Buffer): [name: string, document: string] {
  const manifest: { name: string; version: string } = JSON.parse(
    execFileSync('tar', ['-xzOf', file, 'package/package.json'], { encoding: 'utf8' }),
  )
  const { name, version } = manifest
  const integrity = `sha512-${createHash('sha512').update(bytes).digest('base64')}`
  return [
    name,
    JSON.stringify({ name, 'dist-tags': { latest: version }, versions: { [version]: { ...manifest, dist: { tarball, integrity } } } }),
  ]
}
