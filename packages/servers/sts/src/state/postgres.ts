/**
 * `@portcullis/sts/postgres`: keeps the state of token services in PostgreSQL, so that several instances are one service
 * and what was answered is as durable as a commit there.
 */
import { checkOptions, ConfigurationError, requireText } from '@portcullis/core'
import type { StsState } from './state.ts'

/** What is needed of a pool (or client) of the package `pg`. */
export interface PostgresQueries {
  query(
    text: string,
    values?: unknown[],
  ): Promise<{ readonly rows: readonly Readonly<Record<string, unknown>>[]; readonly rowCount: number | null }>
}

/** How {@link postgresState} is set up. */
export interface PostgresStateOptions {
  /** A pool, with TLS and credentials as its owner set them. Whoever made it ends it. */
  readonly pool: PostgresQueries
  /** Letters, digits and `_`. Made if it is not there, by the statements of {@link postgresSchema}. Default: `portcullis_sts`. */
  readonly table?: string
}

const sweepEveryMs = 60_000
const maxSwept = 1_000

/** The statements that make the table, for who makes tables by migrations. */
export function postgresSchema(table = 'portcullis_sts'): string {
  const name = tableName(table)
  // Not `if not exists` alone: two instances that start at once would both find it missing. Sent as one text, the statements are one transaction.
  return `select pg_advisory_xact_lock(hashtext('${name}'));
create table if not exists ${name} (
  key text primary key, family text, value text not null, consumed_at bigint, expires_at bigint not null
);
create index if not exists ${name}_family on ${name} (family) where family is not null;
create index if not exists ${name}_expiry on ${name} (expires_at);`
}

/** Opens the state in a table, which is made if it is not there. */
export async function postgresState(options: PostgresStateOptions): Promise<StsState> {
  checkOptions<PostgresStateOptions>('postgresState', options, { pool: true, table: true })
  const { pool } = options
  const table = tableName(options.table ?? 'portcullis_sts')
  if (typeof pool?.query !== 'function')
    throw new ConfigurationError('ERR_OPTION_INVALID', 'postgresState pool is a pool of the package pg.')
  const { rows } = await pool.query('select to_regclass($1) as found', [table])
  if (rows[0]?.['found'] === null) await pool.query(postgresSchema(table))
  const insert = `insert into ${table} (key, family, value, expires_at) values ($1, $2, $3, $4) on conflict (key) do update
    set family = excluded.family, value = excluded.value, expires_at = excluded.expires_at, consumed_at = null`
  let sweptAtMs = Number.NEGATIVE_INFINITY
  const sweep = async (): Promise<void> => {
    const now = Date.now()
    if (now - sweptAtMs < sweepEveryMs) return
    sweptAtMs = now
    const expired = `select key from ${table} where expires_at <= $1 limit $2 for update skip locked`
    const { rowCount } = await pool.query(`delete from ${table} where key in (${expired})`, [now, maxSwept])
    if (rowCount === maxSwept) sweptAtMs = Number.NEGATIVE_INFINITY
  }
  return {
    name: `postgres ${table}`,
    isShared: true,
    put: async (key, { family, value, expiresAtMs }) => {
      await sweep()
      await pool.query(insert, [key, family ?? null, value, Math.ceil(expiresAtMs)])
    },
    putIfAbsent: async (key, { family, value, expiresAtMs }) => {
      await sweep()
      const written = await pool.query(`${insert} where ${table}.expires_at <= $5`, [
        key,
        family ?? null,
        value,
        Math.ceil(expiresAtMs),
        Date.now(),
      ])
      return written.rowCount === 1
    },
    get: async (key) => {
      const found = await pool.query(`select value, consumed_at from ${table} where key = $1 and expires_at > $2`, [key, Date.now()])
      const row = found.rows[0]
      if (row === undefined) return undefined
      const consumedAtMs = row['consumed_at'] === null ? undefined : Number(row['consumed_at'])
      return { value: String(row['value']), ...(consumedAtMs !== undefined && { consumedAtMs }) }
    },
    consume: async (key) => {
      const now = Date.now()
      // The second of two waits for the first to commit, and then finds the row used up.
      const used = await pool.query(`update ${table} set consumed_at = $2 where key = $1 and expires_at > $2 and consumed_at is null`, [
        key,
        now,
      ])
      if (used.rowCount === 1) return 'first'
      const { rowCount } = await pool.query(`select 1 from ${table} where key = $1 and expires_at > $2`, [key, now])
      return rowCount === 1 ? 'again' : 'absent'
    },
    remove: async (key) => void (await pool.query(`delete from ${table} where key = $1`, [key])),
    removeFamily: async (family) => void (await pool.query(`delete from ${table} where family = $1`, [family])),
  }
}

function tableName(name: string): string {
  const table = requireText('postgresState table', name)
  // It stands in statements as it is. 63 characters is what PostgreSQL keeps of a name, those of the indexes included.
  if (!/^[a-z_][a-z0-9_]{0,53}$/.test(table))
    throw new ConfigurationError('ERR_OPTION_INVALID', 'postgresState table: small letters, digits and "_", at most 54 of them.')
  return table
}
