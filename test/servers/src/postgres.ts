import { execFile, execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { appendFileSync, chmodSync, copyFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { promisify } from 'node:util'
import { pathOf } from './locate.ts'
import type { Pki } from './pki.ts'
import { freePort } from './ports.ts'
import { type Running, type ServerOptions, ground, launchServer, uniqueName } from './server.ts'

export interface PostgresOptions extends ServerOptions {
  /** Lines for pg_hba.conf, before the default ones. */
  hostBasedAuthentication?: readonly string[]
}

export interface PostgresFacts {
  readonly port: number
  /** `postgres`, the super user, by SCRAM-SHA-256 over TLS. */
  readonly username: string
  readonly password: string
  readonly pki: Pki
}

export interface PostgresMethods {
  /** Makes a database that no other test has, and returns its name. */
  namespace(): Promise<string>
  /** Runs SQL as the super user, by psql, and returns what it prints, unaligned and without headings. */
  sql(statements: string, database?: string): Promise<string>
}

export type Postgres = PostgresFacts & PostgresMethods & Running

/** Starts PostgreSQL: SCRAM over TLS only; role `certified` by its client certificate; a connection in the clear is refused. Takes about 1.5 s. */
export async function startPostgres(options: PostgresOptions = {}): Promise<Postgres> {
  const [postgres, initdb] = [pathOf('postgres', 'postgres'), pathOf('postgres', 'initdb')]
  const { directory, pki } = ground('postgres', options)
  const [port, password] = [await freePort(), randomBytes(9).toString('base64url')]
  const data = path.join(directory, 'data')
  const [passwordFile, keyFile] = [path.join(directory, 'password'), path.join(directory, 'server.key')]
  const [certificateFile, caFile] = [path.join(directory, 'server.crt'), path.join(directory, 'ca.crt')]
  writeFileSync(passwordFile, password, { mode: 0o600 })
  copyFileSync(pki.server.keyFile, keyFile)
  chmodSync(keyFile, 0o600)
  copyFileSync(pki.server.certificateFile, certificateFile)
  copyFileSync(pki.ca.certificateFile, caFile)

  const isRoot = process.getuid?.() === 0
  // The server refuses to run as root, and to read a key that is somebody else's.
  if (isRoot) execFileSync('chown', ['-R', 'postgres', directory])
  const as = isRoot ? ['setpriv', '--reuid=postgres', '--regid=postgres', '--clear-groups', initdb] : [initdb]
  const [first = initdb, ...rest] = as
  const how = ['-D', data, '-U', 'postgres', '--auth=scram-sha-256', `--pwfile=${passwordFile}`, '--no-sync', '-E', 'UTF8', '--locale=C']
  await promisify(execFile)(first, [...rest, ...how], { cwd: directory, timeout: 60_000 })
  const rules = [
    ...(options.hostBasedAuthentication ?? []),
    'hostssl all certified 127.0.0.1/32 cert clientcert=verify-full',
    'hostssl all all 127.0.0.1/32 scram-sha-256',
    'hostnossl all all 127.0.0.1/32 reject',
  ]
  writeFileSync(path.join(data, 'pg_hba.conf'), `${rules.join('\n')}\n`)
  const settings = {
    listen_addresses: "'127.0.0.1'",
    port,
    unix_socket_directories: "''",
    ssl: 'on',
    ssl_cert_file: `'${certificateFile}'`,
    ssl_key_file: `'${keyFile}'`,
    ssl_ca_file: `'${caFile}'`,
    password_encryption: "'scram-sha-256'",
    fsync: 'off',
    // In the data folder, which is removed even after a kill; what lies in /dev/shm is not.
    dynamic_shared_memory_type: 'mmap',
    log_connections: 'on',
  }
  appendFileSync(
    path.join(data, 'postgresql.conf'),
    `\n${Object.entries(settings)
      .map(([key, value]) => `${key}=${value}\n`)
      .join('')}`,
  )

  const running = await launchServer({
    name: 'postgres',
    command: postgres,
    args: ['-D', data],
    directory,
    user: 'postgres',
    ready: (log) => log.includes('ready to accept connections'),
    readyWithinMs: 30_000,
    // SIGTERM would wait for the clients to go first.
    stopSignal: 'SIGINT',
  })
  return Object.assign(running, postgresOf({ port, username: 'postgres', password, pki }))
}

/** What can be done with a server that runs already. */
export function postgresOf(facts: PostgresFacts): PostgresFacts & PostgresMethods {
  const { port, username, password, pki } = facts
  const sql = async (statements: string, database = 'postgres'): Promise<string> => {
    const where = `host=localhost hostaddr=127.0.0.1 port=${port} user=${username} dbname=${database} sslmode=verify-full`
    const env = { ...process.env, PGPASSWORD: password, PGSSLROOTCERT: pki.ca.certificateFile }
    const { stdout } = await promisify(execFile)(pathOf('postgres', 'psql'), ['-XAtq', '-v', 'ON_ERROR_STOP=1', '-c', statements, where], {
      env,
      timeout: 20_000,
    })
    return stdout.trim()
  }
  return {
    ...facts,
    sql,
    namespace: async () => {
      const database = uniqueName()
      await sql(`create database ${database}`)
      return database
    },
  }
}
