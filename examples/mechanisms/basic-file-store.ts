import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { basic, fileUserStore } from '@portcullis/auth'
import { guard, scope } from '@portcullis/core'
import { hashPassword } from '@portcullis/crypto'

/** A guard for the users of a file, of whom alice may read orders and bob may not; `write` replaces what is in the file. */
export async function usersOfFile() {
  const file = join(mkdtempSync(join(tmpdir(), 'portcullis-')), 'users.toml')
  const write = async (...users: [name: string, password: string, scopes: string[]][]): Promise<void> => {
    const entries = users.map(
      async ([name, password, scopes]) =>
        `[[users]]\nusername = "${name}"\npassword = "${await hashPassword(password)}"\nscopes = ${JSON.stringify(scopes)}\n`,
    )
    writeFileSync(file, (await Promise.all(entries)).join('\n'))
  }
  await write(['alice', 'alice@123', ['orders:read']], ['bob', 'bob@123', []])

  const store = fileUserStore({ name: 'staff', file })
  const staff = guard({ authenticate: basic({ store, realm: 'orders' }), authorize: scope('orders:read') })
  return { staff, store, write }
}
