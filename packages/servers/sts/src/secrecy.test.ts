import { execFile } from 'node:child_process'
import { writeFileSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { inspect, promisify } from 'node:util'
import { expect, it } from 'vitest'

// In a process of its own, with everything that the library below can be asked to log.
const program = `
import { inspect } from 'node:util'
import { scene, shop, basic, shopSecret, alicePassword, dpopProof, proofKey } from '${import.meta.dirname}/service.test-support.ts'

const at = await scene({
  report: (event) => console.log(inspect(event, { depth: 10 }), JSON.stringify(event)),
  claims: ({ audiences }) => { if (audiences.includes('https://bills.example')) throw new Error('a fault of the caller'); return {} },
})
const secrets = [shopSecret, shop.authorization.slice(6), alicePassword, 'a-wrong-password-1', 'a-wrong-secret-of-shop']
const keep = (answer) => { for (const name of ['access_token', 'refresh_token']) if (answer.body[name]) secrets.push(answer.body[name]); return answer.body }
const login = { grant_type: 'password', username: 'alice', password: alicePassword, audience: 'stock' }
keep(await at.token({ grant_type: 'client_credentials', audience: 'orders' }))
keep(await at.token({ grant_type: 'client_credentials', audience: 'https://bills.example' }))
const tokens = keep(await at.token(login))
await at.token({ ...login, password: 'a-wrong-password-1' })
await at.token(login, basic('shop', 'a-wrong-secret-of-shop'))
await at.token({ ...login, client_secret: shopSecret })
keep(await at.token({ grant_type: 'refresh_token', refresh_token: tokens.refresh_token }))
await at.token({ grant_type: 'refresh_token', refresh_token: tokens.refresh_token })
await at.introspect(tokens.access_token)
await at.introspect(tokens.access_token, basic('stock', 'a-wrong-secret-of-shop'))
await at.revoke(tokens.access_token)
await at.token({ grant_type: 'client_credentials', audience: 'orders' }, { ...shop, dpop: 'not-a-proof' })
await at.token({ grant_type: 'client_credentials', audience: 'orders' }, { ...shop, dpop: await dpopProof(proofKey(), 'https://elsewhere.example') })
console.log(inspect(at.sts, { depth: 10, showHidden: true }))
await at.sts.close()
process.stderr.write('SECRETS' + JSON.stringify(secrets))
`

it('nothing secret is in events, in the library’s own log, or in the service itself', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'portcullis-sts-'))
  try {
    const file = join(folder, 'program.ts')
    writeFileSync(file, program)
    const env = { ...process.env, DEBUG: '*', NODE_OPTIONS: '' }
    const { stdout, stderr } = await promisify(execFile)(process.execPath, ['--conditions=@portcullis/source', file], {
      env,
      maxBuffer: 64 << 20,
    })
    const end = stderr.lastIndexOf('SECRETS')
    const secrets = JSON.parse(stderr.slice(end + 7)) as readonly string[]
    const log = stdout + stderr.slice(0, end)
    expect(log).toContain('oidc-provider:error')
    expect(log).toContain('issued')
    expect(secrets.length).toBeGreaterThan(8)
    for (const secret of secrets) {
      expect(log.includes(secret), inspect(secret)).toBe(false)
      expect(log).not.toContain(Buffer.from(secret).toString('base64').slice(0, 20))
    }
  } finally {
    rmSync(folder, { recursive: true })
  }
})
