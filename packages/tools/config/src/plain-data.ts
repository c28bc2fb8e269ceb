import { isSecret, type Secret } from '@portcullis/core'
import { mistake } from './mistake.ts'

/** What data may hold. Nothing in it can run, and nothing dangerous can be named by it. */
export type Plain = string | number | boolean | null | Date | Secret | readonly Plain[] | PlainTable
/** A table, without a prototype: a key such as `__proto__` is a key and nothing else. */
export interface PlainTable {
  readonly [key: string]: Plain
}

// The deepest sound policy has about ten levels; this ends data that contain themselves.
const maxDepth = 32

/**
 * Copies data, so that nothing of it changes or computes later. Refuses what is neither text, finite number, boolean,
 * null, date, secret, list nor plain table with `ERR_CONFIG_VALUE`.
 */
export function plainTable(value: unknown): PlainTable {
  const copied = plain('', value, 0)
  if (!isTable(copied)) throw mistake('ERR_CONFIG_VALUE', '', 'must be a table.')
  return copied
}

function plain(where: string, value: unknown, depth: number): Plain {
  if (depth > maxDepth) throw mistake('ERR_CONFIG_VALUE', where, `is nested deeper than ${maxDepth} levels.`)
  if (typeof value === 'string' || typeof value === 'boolean' || value === null || isSecret(value)) return value
  if (typeof value === 'number' && Number.isFinite(value)) return value
  if (Array.isArray(value)) return Object.freeze(Array.from(value, (each: unknown, at) => plain(`${where}[${at}]`, each, depth + 1)))
  if (value instanceof Date) return dateOf(where, value)
  if (typeof value !== 'object' || ![Object.prototype, null].includes(Object.getPrototypeOf(value) as object | null))
    throw mistake('ERR_CONFIG_VALUE', where, `is ${kindOf(value)}, which data cannot hold; what only code can say goes into \`inCode\`.`)
  if (Object.getOwnPropertySymbols(value).length > 0) throw mistake('ERR_CONFIG_VALUE', where, 'has a symbol as key.')
  const table = Object.create(null) as Record<string, Plain>
  for (const [key, each] of Object.entries(value)) table[key] = plain(below(where, key), each, depth + 1)
  return Object.freeze(table)
}

/** TOML has times without a zone, which are another moment on each machine. */
function dateOf(where: string, value: Date): Date {
  const { isLocal } = value as { isLocal?: () => boolean }
  if (Number.isNaN(value.getTime()) || isLocal?.call(value) === true)
    throw mistake('ERR_CONFIG_VALUE', where, 'must be a date with time and zone, such as 2026-12-31T23:59:59Z.')
  return new Date(value.getTime())
}

function kindOf(value: unknown): string {
  if (typeof value === 'number') return 'no finite number'
  return typeof value === 'object' ? 'an instance of a class' : value === undefined ? 'undefined' : `a ${typeof value}`
}

/** The path of a key. */
export function below(where: string, key: string): string {
  return where === '' ? key : `${where}.${key}`
}

/** Tells a table of data from the other values. */
export function isTable(value: Plain | undefined): value is PlainTable {
  return typeof value === 'object' && value !== null && Object.getPrototypeOf(value) === null
}
