import { readFile } from 'node:fs/promises'
import { resolve } from 'node:path'
import { checkOptions, isSecret, requireText, requireTexts, secret, type Secret } from '@portcullis/core'
import type { Making } from './making.ts'
import { mistake } from './mistake.ts'
import { below, isTable, type Plain, type PlainTable } from './plain-data.ts'

/** Turns one value of the data into one of a function's options. `where` is its path, for errors. */
export type Reader = (where: string, value: Plain, making: Making) => unknown

/** A reader for each option of `T` that data can express; `InCode` names the others. The compiler sees when one is missing. */
export type Shape<T, InCode extends PropertyKey = never> = { readonly [K in Exclude<KeysOf<T>, InCode>]: Reader }
type KeysOf<T> = T extends unknown ? Extract<keyof T, string> : never

/**
 * Reads a table key by key. What the calling code supplies for one of its keys is put in; an unknown key is
 * `ERR_OPTION_UNKNOWN`, with its path.
 */
export async function readTable(
  where: string,
  value: Plain,
  shape: Readonly<Record<string, Reader>>,
  making: Making,
): Promise<Record<string, unknown>> {
  const given = requireTable(where, value)
  checkOptions(where, given, shape as unknown as Readonly<Record<string, true>>) // only its keys are looked at
  const options: Record<string, unknown> = {}
  for (const [key, reader] of Object.entries(shape)) {
    const present = given[key]
    if (present !== undefined) options[key] = await reader(below(where, key), present, making)
  }
  for (const [key, supplied] of making.inCodeBelow(where)) {
    if (Object.hasOwn(options, key)) throw mistake('ERR_CONFIG_IN_CODE', below(where, key), 'stands in the data and in `inCode`.')
    options[key] = supplied
  }
  return options
}

/** Refuses anything but a table. */
export function requireTable(where: string, value: Plain): PlainTable {
  if (!isTable(value)) throw mistake('ERR_OPTION_INVALID', where, 'must be a table.')
  return value
}

/** A text that is not empty. */
export const text: Reader = (where, value) => requireText(where, value)

/** A text that is not empty, or a list of such that is not empty. */
export const texts: Reader = (where, value) => (typeof value === 'string' ? requireText(where, value) : requireTexts(where, value))

/** A number; its bounds are the business of the function that gets it. */
export const number: Reader = (where, value) => {
  if (typeof value !== 'number') throw mistake('ERR_OPTION_INVALID', where, 'must be a number.')
  return value
}

/** A number, or one of these words. */
export function numberOr(...words: readonly string[]): Reader {
  return (where, value) => {
    if (typeof value !== 'number' && !words.includes(value as string))
      throw mistake('ERR_OPTION_INVALID', where, `must be a number, or ${words.map((word) => `"${word}"`).join(' or ')}.`)
    return value
  }
}

/** A point in time: a date of TOML, or the same as text. */
export const date: Reader = (where, value) => {
  const isText = typeof value === 'string' && /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d+)?(Z|[+-]\d{2}:\d{2})$/.test(value)
  const parsed = isText ? new Date(value) : value
  if (!(parsed instanceof Date) || Number.isNaN(parsed.getTime()))
    throw mistake('ERR_OPTION_INVALID', where, 'must be a date with time and zone, such as 2026-12-31T23:59:59Z.')
  return parsed
}

/** Whatever stands there: the function that gets it checks it. */
export const asItStands: Reader = (_where, value) => value

/** Any table, with whatever keys. */
export const anyTable: Reader = requireTable

/** The path of a file; a relative one is taken from `directory`. */
export const file: Reader = (where, value, { directory }) => resolve(directory, requireText(where, value))

/** A list that is not empty, each element read alike. */
export function listOf(reader: Reader): Reader {
  return async (where, value, making) => {
    if (!Array.isArray(value) || value.length === 0) throw mistake('ERR_OPTION_INVALID', where, 'must be a list that is not empty.')
    const read: unknown[] = []
    for (const [at, each] of (value as readonly Plain[]).entries()) read.push(await reader(`${where}[${at}]`, each, making))
    return read
  }
}

/** A table with these keys. */
export function table(shape: Readonly<Record<string, Reader>>): Reader {
  return (where, value, making) => readTable(where, value, shape, making)
}

/** A table whose keys are names, such as header fields; each value read alike. */
export function tableOf(reader: Reader): Reader {
  return async (where, value, making) => {
    const entries = Object.entries(requireTable(where, value))
    if (entries.length === 0) throw mistake('ERR_OPTION_INVALID', where, 'must not be empty.')
    const read: [string, unknown][] = []
    for (const [key, each] of entries) read.push([key, await reader(below(where, key), each, making)])
    return Object.fromEntries(read)
  }
}

/** What a table of several forms is, told by the key that it has. */
export function oneOf(forms: Readonly<Record<string, Readonly<Record<string, Reader>>>>): Reader {
  return (where, value, making) => {
    const given = requireTable(where, value)
    const form = Object.keys(forms).find((key) => Object.hasOwn(given, key))
    if (form === undefined) throw mistake('ERR_OPTION_MISSING', where, `needs one of ${Object.keys(forms).join(', ')}.`)
    return readTable(where, given, forms[form] ?? {}, making)
  }
}

/** A secret: the text itself, `{ env = "NAME" }`, or `{ file = "path" }`, without the line end at the end of the file. */
export const secretValue = async (where: string, value: Plain, making: Making): Promise<Secret> => {
  if (isSecret(value)) return value
  if (typeof value === 'string') return secret(requireText(where, value))
  const source = await readTable(where, value, { env: text, file }, making)
  const names = Object.keys(source)
  if (names.length !== 1) throw mistake('ERR_OPTION_INVALID', where, 'is a text, { env = "NAME" } or { file = "path" }.')
  const found = typeof source['env'] === 'string' ? process.env[source['env']] : await contentOf(where, String(source['file']))
  if (found === undefined || found === '')
    throw mistake('ERR_CONFIG_SECRET', where, `names ${names.join()} that is not there, or is empty.`)
  return secret(found)
}

async function contentOf(where: string, path: string): Promise<string> {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(await readFile(path)).replace(/\r?\n$/, '')
  } catch {
    throw mistake('ERR_CONFIG_SECRET', where, `names the file ${path}, which cannot be read, or is no UTF-8.`)
  }
}
