import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { sqliteState } from '@portcullis/sts/sqlite'
import { afterAll, describe, expect, it } from 'vitest'
import { alicePassword, scene } from '../service.test-support.ts'
import { describeState } from './stores.test-support.ts'

const folder = mkdtempSync(join(tmpdir(), 'portcullis-sts-'))
afterAll(() => rmSync(folder, { recursive: true }))

describeState('sqlite', async () => {
  const state = sqliteState({ file: join(folder, 'kit.db') })
  return { states: [state, state], close: async () => state.close() }
})

describe('a file', () => {
  it('keeps tokens, logins and generated keys over a restart, and shows no token', async () => {
    const file = join(folder, 'restart.db')
    const login = { grant_type: 'password', username: 'alice', password: alicePassword }
    let port = 0
    const before = await (async () => {
      using state = sqliteState({ file })
      await using at = await scene({ state })
      port = at.sts.port
      const { body } = await at.token({ ...login, audience: 'stock' })
      const jwt = await at.token({ ...login, audience: 'orders' })
      await at.sts.rotateKeys()
      return { ...body, jwt: jwt.body['access_token'], keys: (await at.get('/oauth2/jwks')).body } as Readonly<Record<string, unknown>>
    })()
    using state = sqliteState({ file })
    await using at = await scene({ state, port })
    expect((await at.get('/oauth2/jwks')).body).toEqual(before['keys'])
    expect((await at.introspect(String(before['access_token']))).body).toMatchObject({ active: true, sub: 'alice' })
    const refreshed = await at.token({ grant_type: 'refresh_token', refresh_token: String(before['refresh_token']) })
    expect(refreshed.status).toBe(200)
    const again = await at.token({ grant_type: 'refresh_token', refresh_token: String(before['refresh_token']) })
    expect(again.body).toMatchObject({ error: 'invalid_grant' })
    const bytes = [file, `${file}-wal`].map((name) => readFileSync(name, 'latin1')).join('')
    for (const token of [before['access_token'], before['refresh_token'], refreshed.body['refresh_token'], before['jwt']]) {
      expect(bytes).not.toContain(String(token))
    }
    expect(statSync(file).mode & 0o077).toBe(0)
  })

  it('that cannot be opened is an error at once', () => {
    expect(() => sqliteState({ file: join(folder, 'missing', 'sts.db') })).toThrow(/ENOENT/)
    expect(() => sqliteState({ file: '' })).toThrow(/file/)
  })
})
