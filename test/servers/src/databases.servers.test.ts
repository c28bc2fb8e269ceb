import { expect, test } from 'vitest'
import { type Ran, runForeign } from './foreign.ts'
import { startPostgres } from './postgres.ts'
import { startRedis } from './redis.ts'

test('Redis: TLS and a user; a wrong password, a forbidden key and no TLS are refused', async () => {
  await using redis = await startRedis({ users: { app: '>app-secret ~app:* +@all -@admin' } })
  const tls = ['--tls', '--cacert', redis.pki.ca.certificateFile]
  const cli = (...args: string[]): Promise<Ran> => runForeign('redis', 'redis-cli', ['-h', 'localhost', '-p', String(redis.port), ...args])
  const asApp = ['--no-auth-warning', '--user', 'app', '--pass', 'app-secret']
  expect((await cli(...tls, ...asApp, 'set', 'app:x', '1')).output.trim()).toBe('OK')
  expect((await cli(...tls, ...asApp, 'set', 'other', '1')).said).toContain('NOPERM')
  expect((await cli(...tls, '--no-auth-warning', '--user', 'app', '--pass', 'wrong', 'get', 'app:x')).said).toContain('NOAUTH')
  expect((await cli(...tls, 'get', 'app:x')).said).toContain('NOAUTH')
  expect((await cli(...asApp, 'get', 'app:x')).status).not.toBe(0)
})

test('PostgreSQL: SCRAM over TLS and a client certificate; a wrong password and no TLS are refused', async () => {
  await using postgres = await startPostgres()
  const database = await postgres.namespace()
  expect(await postgres.sql('select ssl, version from pg_stat_ssl where pid = pg_backend_pid()', database)).toBe('t|TLSv1.3')
  const psql = (settings: string, env: Record<string, string>): Promise<Ran> =>
    runForeign(
      'postgres',
      'psql',
      ['-XAtc', 'select current_user', `host=localhost hostaddr=127.0.0.1 port=${postgres.port} dbname=${database} ${settings}`],
      {
        env: { PGSSLROOTCERT: postgres.pki.ca.certificateFile, ...env },
      },
    )
  expect((await psql('user=postgres sslmode=verify-full', { PGPASSWORD: 'wrong' })).said).toContain('password authentication failed')
  expect((await psql('user=postgres sslmode=disable', { PGPASSWORD: postgres.password })).said).toContain('rejects connection')

  await postgres.sql('create role certified login')
  const certified = postgres.pki.issue({ name: 'certified' })
  const other = postgres.pki.issue({ name: 'other' })
  const by = (who: typeof certified): string => `user=certified sslmode=verify-full sslcert=${who.certificateFile} sslkey=${who.keyFile}`
  expect((await psql(by(certified), {})).output.trim()).toBe('certified')
  expect((await psql(by(other), {})).said).toContain('certificate authentication failed')
})
