import { mkdir, readdir, readFile, rename, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'

import { checkOptions, ConfigurationError, requireText, systemClock, type Clock } from '@portcullis/core'
import { randomId } from '@portcullis/crypto'

import { developmentAuthority, requireClientName } from './development-authority.ts'
import type { Issued } from './write-certificate.ts'

/** Which certificates of development are wanted, and where. */
export interface DevelopmentCertificatesOptions {
  /** A folder of its own: made if it is not there, and kept out of Git by a `.gitignore` in it. One with other content is refused. */
  readonly directory: string
  /** The names of the server: `localhost`, names below it, loopback addresses. Default `['localhost']`; `127.0.0.1` and `::1` are always among them. */
  readonly names?: readonly [string, ...string[]]
  /** The names of clients, of lower-case letters, digits and hyphens. Default: none. */
  readonly clients?: readonly string[]
  /** Keeps the authority's key as `authority.key`. By default nobody can issue more in its name: the key is thrown away. */
  readonly keepCaKey?: boolean
  readonly clock?: Clock
}

/** The paths of a certificate and its key. */
export interface CertificateFiles {
  readonly certificate: string
  readonly key: string
}

/** What was written; all paths are absolute. */
export interface DevelopmentCertificates {
  /** The certificate of the authority, for `trust` and for `curl --cacert`. */
  readonly authority: string
  readonly authorityKey: string | undefined
  readonly server: CertificateFiles
  /** By client name. */
  readonly clients: ReadonlyMap<string, CertificateFiles>
  readonly expiresAt: Date
}

const ignoreEverything = '*\n'

/**
 * Writes a development authority and certificates of it into a folder: `authority.crt`, `server.crt` and `server.key`,
 * `client-<name>.crt` and `.key`, each readable by its owner only. Called again, it makes new ones in their place.
 *
 * The authority can only name this machine and ends after 30 days, as `developmentTls` says. What the system trusts is
 * not touched. Throws `ERR_OPTION_INVALID`, also for a folder that holds other files.
 */
export async function createDevelopmentCertificates(options: DevelopmentCertificatesOptions): Promise<DevelopmentCertificates> {
  checkOptions('createDevelopmentCertificates()', options, { directory: true, names: true, clients: true, keepCaKey: true, clock: true })
  const { names = ['localhost'], clients = [], keepCaKey = false, clock = systemClock } = options
  const directory = resolve(requireText('createDevelopmentCertificates(): directory', options.directory))
  if (!Array.isArray(names) || names.length === 0) throw invalid('names must be a list that is not empty.')
  if (!Array.isArray(clients)) throw invalid('clients must be a list.')
  clients.forEach(requireClientName)
  const authority = await developmentAuthority(clock.now())
  const server = await authority.forServer(names)
  const issued = new Map<string, Issued>()
  for (const name of clients) issued.set(name, await authority.forClient(name))
  await prepare(directory)
  const files = new Map<string, CertificateFiles>()
  for (const [name, client] of issued) files.set(name, await writePair(directory, `client-${name}`, client))
  const authorityFiles = { certificate: join(directory, 'authority.crt'), key: join(directory, 'authority.key') }
  if (keepCaKey) await writeWhole(authorityFiles.key, pemOf(authority.issued))
  await writeWhole(authorityFiles.certificate, authority.issued.certificate.toString())
  return {
    authority: authorityFiles.certificate,
    authorityKey: keepCaKey ? authorityFiles.key : undefined,
    server: await writePair(directory, 'server', server),
    clients: files,
    expiresAt: authority.issued.certificate.validToDate,
  }
}

async function prepare(directory: string): Promise<void> {
  await mkdir(directory, { recursive: true, mode: 0o700 })
  const ignore = join(directory, '.gitignore')
  const entries = await readdir(directory)
  const isOurs = entries.length === 0 || (entries.includes('.gitignore') && (await readFile(ignore, 'utf8')) === ignoreEverything)
  // A folder of somebody's own would vanish from Git without a word.
  if (!isOurs) throw invalid(`the directory ${directory} holds other files; name one of its own.`)
  await writeWhole(ignore, ignoreEverything)
}

async function writePair(directory: string, name: string, issued: Issued): Promise<CertificateFiles> {
  const files = { certificate: join(directory, `${name}.crt`), key: join(directory, `${name}.key`) }
  await writeWhole(files.key, pemOf(issued))
  await writeWhole(files.certificate, issued.certificate.toString())
  return files
}

function pemOf({ key }: Issued): string {
  return key.export({ type: 'pkcs8', format: 'pem' }).toString()
}

/** Readers see the old file or the new one, never a part; and never anybody else's permissions. */
async function writeWhole(path: string, content: string): Promise<void> {
  const temporary = `${path}.${randomId()}`
  await writeFile(temporary, content, { mode: 0o600, flag: 'wx' })
  await rename(temporary, path)
}

function invalid(message: string): ConfigurationError {
  return new ConfigurationError('ERR_OPTION_INVALID', `createDevelopmentCertificates(): ${message}`)
}
