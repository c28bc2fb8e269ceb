import { dirname, resolve } from 'node:path'
import { checkOptions, ConfigurationError, requireText, requireTexts, secret, type Secret } from '@portcullis/core'
import { parsePasswordHash } from '@portcullis/crypto'
import type { StsAudience, StsClient, StsOptions } from '@portcullis/sts'
import { parse, TomlError } from 'smol-toml'
import type { CliErrorCode } from './errors.ts'
import { fileError } from './mistake.ts'
import { contentOf } from './secret-input.ts'

/** What the file of `portcullis sts` says. */
export interface StsFile {
  readonly service: Pick<StsOptions, 'issuer' | 'refreshLifetimeSeconds' | 'audiences' | 'clients'>
  /** Where the users of the password grant are; without them there is no such grant. */
  readonly usersFile: string | undefined
}

// Some thousand clients; more belong into a store, by `createSts`.
const maxLength = 1_048_576

/**
 * Reads the configuration of a token service. Paths in it begin at its folder. Throws `ERR_CLI_FILE` and core's
 * `ERR_OPTION_*` with the path of the key; no message holds a value, which may be a secret. What makes no sense
 * together is for `createSts` to refuse.
 */
export async function readStsFile(file: string): Promise<StsFile> {
  const directory = dirname(resolve(file))
  const read = await readTable(`${file}:`, await tomlOf(file), {
    issuer: text,
    refreshLifetimeSeconds: number,
    audiences: (where, value) => Promise.all(Object.entries(requireTable(where, value)).map(([name, each]) => audience(where, name, each))),
    clients: (where, value) => Promise.all(requireList(where, value).map((each, at) => client(`${where}[${at}]`, each, directory))),
    users: (where, value) => readTable(where, value, { file: text }),
  })
  const { audiences = [], clients: [first, ...others] = [], users, ...service } = read
  if (first === undefined) throw fileError(file, 'has no [[clients]], so that nobody could ask for a token')
  return {
    service: { ...service, audiences: Object.fromEntries(audiences), clients: [first, ...others] },
    usersFile: users && resolve(directory, requireText(`${file}: users.file`, users.file)),
  }
}

async function tomlOf(file: string): Promise<unknown> {
  const content = await contentOf(file, maxLength)
  try {
    return parse(content)
  } catch (error) {
    if (!(error instanceof TomlError)) throw error
    // Its own message shows the line, in which a secret may stand.
    throw fileError(file, `is no TOML from line ${error.line}, column ${error.column} on`)
  }
}

async function audience(above: string, name: string, value: unknown): Promise<readonly [string, StsAudience]> {
  const where = `${above}.${name}`
  const { scopes, ...others } = await readTable(where, value, {
    scopes: requireTexts,
    format: wordOf('jwt', 'opaque'),
    // Those of the keys that the service generates.
    algorithm: wordOf('ES256', 'RS256'),
    lifetimeSeconds: number,
  })
  return [name, { ...others, scopes: requireTexts(`${where}.scopes`, scopes) }]
}

async function client(where: string, value: unknown, directory: string): Promise<StsClient> {
  const {
    id,
    secret: known,
    authentication,
    ...others
  } = await readTable(where, value, {
    id: text,
    secret: (here, source) => clientSecret(here, source, directory),
    authentication: wordOf('none'),
    grants: wordsOf('client_credentials', 'refresh_token', 'password'),
    audiences: requireTexts,
    scopes: requireTexts,
    serves: requireTexts,
    tokens: wordOf('bearer', 'dpop'),
  })
  const rights = { ...others, id: requireText(`${where}.id`, id) }
  if (known !== undefined && authentication === undefined) return { ...rights, secret: known }
  if (known === undefined && authentication !== undefined) return { ...rights, authentication }
  throw mistake(`${where} needs a secret, or authentication = "none" for a program that cannot keep one, and not both.`)
}

const secretForms = '{ env = "NAME" }, { file = "path" } or { hash = "$scrypt$…" }, which "portcullis password hash" makes'

async function clientSecret(where: string, value: unknown, directory: string): Promise<Secret | { readonly hash: string }> {
  // Whoever may read how the service is set up should not be able to speak for its clients.
  if (typeof value === 'string') throw mistake(`${where} stands in the file as it is; say ${secretForms}.`)
  const { env, file, hash } = await readTable(where, value, { env: text, file: text, hash: text })
  if ([env, file, hash].filter((source) => source !== undefined).length !== 1) throw mistake(`${where} is one of ${secretForms}.`)
  if (hash !== undefined) {
    requireHash(`${where}.hash`, hash)
    return { hash }
  }
  const found = env === undefined ? (await contentOf(resolve(directory, String(file)))).replace(/\r?\n$/, '') : (process.env[env] ?? '')
  if (found === '') throw mistake(`${where} names ${env === undefined ? 'a file' : `the variable ${env}`} that is not there, or is empty.`)
  return secret(found)
}

function requireHash(where: string, hash: string): void {
  try {
    parsePasswordHash(hash)
  } catch {
    // The cause is left out: what was written may be the secret itself.
    throw mistake(`${where} is no hash that is read here; "portcullis password hash" makes one.`)
  }
}

type Read = (where: string, value: unknown) => unknown
type Result<S extends Readonly<Record<string, Read>>> = { readonly [K in keyof S]?: Awaited<ReturnType<S[K]>> }

/** Reads a table key by key, and refuses those that are not in `shape`. */
async function readTable<const S extends Readonly<Record<string, Read>>>(where: string, value: unknown, shape: S): Promise<Result<S>> {
  const table = requireTable(where, value)
  checkOptions<Record<string, unknown>>(where, table, Object.fromEntries(Object.keys(shape).map((key) => [key, true as const])))
  const pairs = Object.entries(table).map(async ([key, each]) => [key, await shape[key]?.(below(where, key), each)] as const)
  return Object.fromEntries(await Promise.all(pairs)) as Result<S> // each key by its own reader
}

function below(where: string, key: string): string {
  return where.endsWith(':') ? `${where} ${key}` : `${where}.${key}`
}

function requireTable(where: string, value: unknown): Readonly<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw mistake(`${where} must be a table.`)
  return value as Readonly<Record<string, unknown>> // what TOML has as objects are tables and dates, and a date has no keys
}

function requireList(where: string, value: unknown): readonly unknown[] {
  if (!Array.isArray(value)) throw mistake(`${where} must be a list of tables: [[…]].`)
  return value
}

const text = (where: string, value: unknown): string => requireText(where, value)

/** Its bounds are the business of `createSts`. */
function number(where: string, value: unknown): number {
  if (typeof value !== 'number') throw mistake(`${where} must be a number.`)
  return value
}

function wordOf<const W extends string>(...words: readonly W[]): (where: string, value: unknown) => W {
  return (where, value) => {
    const found = words.find((word) => word === value)
    if (found === undefined) throw mistake(`${where} must be ${words.map((word) => `"${word}"`).join(' or ')}.`)
    return found
  }
}

function wordsOf<const W extends string>(...words: readonly W[]): (where: string, value: unknown) => readonly [W, ...W[]] {
  const word = wordOf(...words)
  return (where, value) => {
    const [first, ...others] = requireTexts(where, value)
    return [word(`${where}[0]`, first), ...others.map((each, at) => word(`${where}[${at + 1}]`, each))]
  }
}

function mistake(message: string): ConfigurationError<CliErrorCode> {
  return new ConfigurationError('ERR_CLI_FILE', message)
}
