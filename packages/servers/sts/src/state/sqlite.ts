/**
 * `@portcullis/sts/sqlite`: keeps the state of one token service in a file, so that tokens, logins and generated signing
 * keys outlive the process. For several instances take `@portcullis/sts/postgres` or `@portcullis/sts/redis`.
 */
import { closeSync, openSync } from 'node:fs'
import { DatabaseSync } from 'node:sqlite'
import { checkOptions, requireText, systemClock, type Clock } from '@portcullis/core'
import type { StsState } from './state.ts'

/** How {@link sqliteState} is set up. */
export interface SqliteStateOptions {
  /** Made if it is not there, readable by its owner only: it holds the signing keys where none are given to `createSts`. */
  readonly file: string
  readonly clock?: Clock
}

/** A state in a file. */
export interface SqliteState extends StsState, Disposable {
  /** Closes the file; the token service over it must have been closed before. */
  close(): void
}

// A gibibyte: some two million tokens. Beyond it the service answers that it has no room, rather than fill the disk.
const maxPages = 262_144
const sweepEveryMs = 60_000
const maxSwept = 1_000

const schema = `
  create table if not exists entry (
    key text primary key, family text, value text not null, consumed_at integer, expires_at integer not null
  ) strict, without rowid;
  create index if not exists entry_family on entry (family) where family is not null;
  create index if not exists entry_expiry on entry (expires_at);
  create table if not exists signing_keys (id integer primary key check (id = 1), value text not null) strict;
`

/**
 * Opens the state. What was answered is on the disk: each change is one transaction that is synced, which takes as long
 * as the disk does. Throws what SQLite throws for a file that cannot be opened.
 */
export function sqliteState(options: SqliteStateOptions): SqliteState {
  checkOptions<SqliteStateOptions>('sqliteState', options, { file: true, clock: true })
  const { clock = systemClock } = options
  const file = requireText('sqliteState file', options.file)
  // SQLite would make it readable by everybody; its companions get the rights of the file.
  closeSync(openSync(file, 'a', 0o600))
  const database = new DatabaseSync(file, { timeout: 5_000 })
  database.exec(`pragma journal_mode = wal; pragma synchronous = full; pragma max_page_count = ${maxPages}; ${schema}`)
  const statements = {
    put: database.prepare('insert or replace into entry (key, family, value, expires_at) values (?, ?, ?, ?)'),
    putIfAbsent: database.prepare(
      `insert into entry (key, family, value, expires_at) values (?, ?, ?, ?) on conflict (key) do update
       set family = excluded.family, value = excluded.value, expires_at = excluded.expires_at, consumed_at = null where entry.expires_at <= ?`,
    ),
    get: database.prepare('select value, consumed_at from entry where key = ? and expires_at > ?'),
    consume: database.prepare('update entry set consumed_at = ? where key = ? and expires_at > ? and consumed_at is null'),
    remove: database.prepare('delete from entry where key = ?'),
    removeFamily: database.prepare('delete from entry where family = ?'),
    sweep: database.prepare('delete from entry where key in (select key from entry where expires_at <= ? limit ?)'),
    readKeys: database.prepare('select value from signing_keys'),
    writeKeys: database.prepare('insert or replace into signing_keys (id, value) values (1, ?)'),
  }
  let sweptAtMs = Number.NEGATIVE_INFINITY
  const sweep = (): void => {
    const now = clock.now()
    if (now - sweptAtMs < sweepEveryMs) return
    const { changes } = statements.sweep.run(now, maxSwept)
    if (changes < maxSwept) sweptAtMs = now
  }
  const close = (): void => {
    if (database.isOpen) database.close()
  }
  return {
    name: `sqlite ${file}`,
    isShared: false,
    put: async (key, { family, value, expiresAtMs }) => {
      sweep()
      statements.put.run(key, family ?? null, value, expiresAtMs)
    },
    putIfAbsent: async (key, { family, value, expiresAtMs }) => {
      sweep()
      return statements.putIfAbsent.run(key, family ?? null, value, expiresAtMs, clock.now()).changes === 1
    },
    get: async (key) => {
      const row = statements.get.get(key, clock.now())
      if (row === undefined) return undefined
      const { value, consumed_at: consumedAtMs } = row
      return { value: String(value), ...(typeof consumedAtMs === 'number' && { consumedAtMs }) }
    },
    consume: async (key) => {
      const now = clock.now()
      if (statements.consume.run(now, key, now).changes === 1) return 'first'
      return statements.get.get(key, now) === undefined ? 'absent' : 'again'
    },
    remove: async (key) => void statements.remove.run(key),
    removeFamily: async (family) => void statements.removeFamily.run(family),
    signingKeys: {
      read: async () => {
        const row = statements.readKeys.get()
        return row === undefined ? undefined : String(row['value'])
      },
      write: async (text) => void statements.writeKeys.run(text),
    },
    close,
    [Symbol.dispose]: close,
  }
}
