import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { basic, fileUserStore } from '@portcullis/auth'
import { hashPassword } from '@portcullis/crypto'
import { guard, json, scope, serve } from '@portcullis/http'
import { developmentTls } from '@portcullis/http/development'

/** A service for the users of a file. */
export async function start() {
  const file = join(mkdtempSync(join(tmpdir(), 'portcullis-')), 'users.toml')
  const write = async (...users: [name: string, password: string, scopes: string[]][]): Promise<void> => {
    const entries = users.map(
      async ([name, password, scopes]) =>
        `[[users]]\nusername = "${name}"\npassword = "${await hashPassword(password)}"\nscopes = ${JSON.stringify(scopes)}\n`,
    )
    writeFileSync(file, (await Promise.all(entries)).join('\n'))
  }
  await write(['alice', 'alice@123', ['orders:read']], ['bob', 'bob@123', []])

  const tls = await developmentTls()
  const store = fileUserStore({ name: 'staff', file })
  const staff = guard({ authenticate: basic({ store, realm: 'orders' }), authorize: scope('orders:read') })
  const server = await serve({ tls, port: 0, guard: staff }, (_request, principal) => json({ hello: principal.subject }))
  return { tls, server, origin: server.origin, store, write }
}
