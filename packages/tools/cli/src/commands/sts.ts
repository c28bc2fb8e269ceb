import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ConfigurationError } from '@portcullis/core'
import type { ServerTlsBundle, ServerTlsOptions } from '@portcullis/tls'
import { columns, command, type ExitCode } from '../command.ts'
import type { CliErrorCode } from '../errors.ts'
import { usageError } from '../mistake.ts'
import { readStsFile } from '../sts-file.ts'
import { print, type Terminal } from '../terminal.ts'

const defaultPort = 9_443
const defaultHost = '127.0.0.1'

/** `portcullis sts` */
export const sts = command({
  name: 'sts',
  summary: 'Runs a token service: issues, introspects and revokes access tokens over HTTPS.',
  details: `It has the clients, audiences and users that the file names, and no others. When it listens it prints its addresses,
then its events on stderr, one JSON object per line and without secrets, until SIGINT or SIGTERM ends it.

  [audiences.orders]
  scopes = ["orders:read"]

  [[clients]]
  id = "shop"
  secret = { env = "SHOP_SECRET" }    # or { file = "path" }, { hash = "…" }
  grants = ["client_credentials"]
  audiences = ["orders"]
  scopes = ["orders:read"]`,
  options: {
    config: { type: 'string', value: 'FILE', help: 'Required: clients, audiences and users, as TOML.' },
    port: { type: 'string', value: 'NUMBER', help: `Default: ${defaultPort}. 0 takes a free one.` },
    host: { type: 'string', value: 'ADDRESS', help: `Where to listen. Default: ${defaultHost}, this machine alone.` },
    state: { type: 'string', value: 'FILE', help: 'Keeps tokens, logins and signing keys in this file. Default: in memory.' },
    cert: { type: 'string', value: 'FILE', help: 'The certificate of the service with its chain (PEM); read again when it changes.' },
    key: { type: 'string', value: 'FILE', help: 'The key of the certificate (PEM).' },
    development: { type: 'boolean', help: 'In place of --cert and --key: a throw-away authority, for this machine alone.' },
  },
  async run({ config, port: portText, host = defaultHost, state: stateFile, json, ...tlsValues }, _argument, terminal) {
    if (config === undefined) throw usageError('--config is required.')
    const port = portOf(portText)
    const openTls = tlsOf(tlsValues, host)
    const { service, usersFile } = await readStsFile(config)
    const ending = endOf(terminal)
    const closing: (() => unknown)[] = [ending.ignore]
    try {
      const [{ createSts }, sqlite, { fileUserStore }] = await Promise.all([
        import('@portcullis/sts'),
        // Node 22 warns of its SQLite on stderr, where the events are: only where it is asked for.
        stateFile === undefined ? undefined : import('@portcullis/sts/sqlite'),
        import('@portcullis/auth'),
      ])
      const report = (event: object): void => void terminal.stderr.write(`${lineOf(event)}\n`)
      const { tls, authority } = await openTls(service.issuer, closing)
      const state = stateFile === undefined || sqlite === undefined ? undefined : opened(stateFile, (file) => sqlite.sqliteState({ file }))
      if (state !== undefined) closing.push(() => state.close())
      const users = usersFile === undefined ? undefined : fileUserStore({ name: 'users', file: usersFile, report })
      if (users !== undefined) closing.push(() => users.close())
      const running = await createSts({
        ...service,
        tls,
        host,
        port,
        report,
        ...(state && { state }),
        ...(users && { passwordGrant: { users } }),
      })
      closing.push(() => running.close())
      const { issuer, tokenEndpoint, introspectionEndpoint, revocationEndpoint, jwksUri } = running
      const result = { issuer, tokenEndpoint, introspectionEndpoint, revocationEndpoint, jwksUri, ...(authority && { authority }) }
      const rows = [
        ['issuer', issuer],
        ['token', tokenEndpoint],
        ['introspection', introspectionEndpoint],
        ['revocation', revocationEndpoint],
        ['JWKS', jwksUri],
        ...(authority === undefined ? [] : [['authority', authority] as const]),
      ] as const
      await print(terminal, json, result, columns(rows))
      return await ending.code
    } finally {
      for (const close of closing.toReversed()) await close()
    }
  },
})

interface TlsValues {
  readonly cert?: string
  readonly key?: string
  readonly development?: boolean
}
type OpenTls = (
  issuer: string | undefined,
  closing: (() => unknown)[],
) => Promise<{ readonly tls: ServerTlsOptions | ServerTlsBundle; readonly authority?: string }>

function tlsOf({ cert, key, development = false }: TlsValues, host: string): OpenTls {
  if (development !== (cert === undefined) || (cert === undefined) !== (key === undefined))
    throw usageError('--development is required, or --cert and --key, and not both.')
  if (cert !== undefined && key !== undefined) {
    const identity = { key: { pemFile: key }, certificates: { pemFile: cert } }
    return () => Promise.resolve({ tls: { side: 'server', identity } })
  }
  if (!/^(localhost|::1|127(\.\d{1,3}){3})$/.test(host))
    throw usageError('--development is for this machine alone: --host goes with --cert.')
  return async (issuer, closing) => {
    const { developmentTls } = await import('@portcullis/tls/development')
    const names = issuer !== undefined && URL.canParse(issuer) ? [new URL(issuer).hostname.replace(/^\[|\]$/g, '')] : []
    const tls = await developmentTls({ names: ['localhost', host, ...names] })
    closing.push(() => tls.close())
    const directory = await mkdtemp(join(tmpdir(), 'portcullis-sts-'))
    closing.push(() => rm(directory, { recursive: true, force: true }))
    const authority = join(directory, 'authority.pem')
    await writeFile(authority, tls.authority)
    return { tls, authority }
  }
}

function portOf(text = String(defaultPort)): number {
  if (!/^\d{1,5}$/.test(text) || Number(text) > 65_535) throw usageError('--port is a number from 0 to 65535.')
  return Number(text)
}

function opened<S>(file: string, open: (file: string) => S): S {
  try {
    return open(file)
  } catch (cause) {
    throw new ConfigurationError<CliErrorCode>('ERR_CLI_FILE', {
      message: `${file} cannot be opened as the state of a token service.`,
      cause,
    })
  }
}

/** One event for the log. Errors tell what they are and why, and nothing else that may hang on them. */
function lineOf(event: object): string {
  return JSON.stringify({ time: new Date(), ...event }, (_key, value: unknown) =>
    value instanceof Error
      ? { name: value.name, code: 'code' in value ? value.code : undefined, message: value.message, cause: value.cause }
      : value,
  )
}

/** When to stop: told to (0), or because nobody reads the events any more (1). A second signal ends the process at once. */
function endOf({ stderr }: Terminal): { readonly code: Promise<ExitCode>; readonly ignore: () => void } {
  const { promise, resolve } = Promise.withResolvers<ExitCode>()
  const told = (): void => {
    process.off('SIGINT', told).off('SIGTERM', told)
    resolve(0)
  }
  const unread = (): void => resolve(1)
  process.on('SIGINT', told).on('SIGTERM', told)
  stderr.on('error', unread)
  return {
    code: promise,
    ignore: () => {
      process.off('SIGINT', told).off('SIGTERM', told)
      stderr.off('error', unread)
    },
  }
}
