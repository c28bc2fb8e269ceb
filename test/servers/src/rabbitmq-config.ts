import { createHash, randomBytes } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import path from 'node:path'
import type { Pki } from './pki.ts'
import type { RabbitmqOptions } from './rabbitmq.ts'

export interface RabbitmqUser {
  password?: string
  tags?: string
  /** By virtual host; regular expressions. Default: everything in `/`. */
  permissions?: Readonly<Record<string, { configure: string; write: string; read: string }>>
}

export const everything = { configure: '.*', write: '.*', read: '.*' }

/** What rabbitmq.conf loads at the first start: users with salted hashes, virtual hosts, permissions. */
export function definitionsOf(users: Readonly<Record<string, RabbitmqUser>>, virtualHosts: readonly string[]): unknown {
  return {
    users: Object.entries(users).map(([name, { password, tags = '' }]) => ({
      name,
      tags,
      // An empty hash is RabbitMQ's "no password opens this".
      password_hash: password === undefined ? '' : passwordHash(password),
      hashing_algorithm: 'rabbit_password_hashing_sha256',
    })),
    vhosts: virtualHosts.map((name) => ({ name })),
    permissions: Object.entries(users).flatMap(([user, { permissions = { '/': everything } }]) =>
      Object.entries(permissions).map(([vhost, rights]) => ({ user, vhost, ...rights })),
    ),
    queues: [],
    exchanges: [],
    bindings: [],
    policies: [],
  }
}

function passwordHash(password: string): string {
  const salt = randomBytes(4)
  return Buffer.concat([
    salt,
    createHash('sha256')
      .update(Buffer.concat([salt, Buffer.from(password)]))
      .digest(),
  ]).toString('base64')
}

/** The two configuration files: what the newer format can say, and what only the older one can. */
export function configOf(
  made: { directory: string; pki: Pki; port: number; managementPort: number },
  options: RabbitmqOptions,
): { conf: string; advanced: string } {
  const { directory, pki, port, managementPort } = made
  const { oauth2, http } = options
  const files = { cacertfile: pki.ca.certificateFile, certfile: pki.server.certificateFile, keyfile: pki.server.keyFile }
  const lines: Record<string, string | number> = {
    'listeners.tcp': 'none',
    'listeners.ssl.default': `127.0.0.1:${port}`,
    ...prefixed('ssl_options', {
      ...files,
      verify: 'verify_peer',
      fail_if_no_peer_cert: 'false',
      'versions.1': 'tlsv1.3',
      'versions.2': 'tlsv1.2',
    }),
    ...prefixed('management.ssl', { ...files, ip: '127.0.0.1', port: managementPort }),
    'auth_mechanisms.1': 'EXTERNAL',
    'auth_mechanisms.2': 'PLAIN',
    ssl_cert_login_from: 'common_name',
    'auth_backends.1': 'internal',
    load_definitions: path.join(directory, 'definitions.json'),
    'log.console': 'true',
    'log.file': 'false',
  }
  const advanced: string[] = []
  let backends = 1
  if (oauth2 !== undefined) {
    lines[`auth_backends.${(backends += 1)}`] = 'rabbit_auth_backend_oauth2'
    lines['auth_oauth2.resource_server_id'] = oauth2.resourceServerId
    if (oauth2.jwksUrl !== undefined) {
      lines['auth_oauth2.jwks_url'] = oauth2.jwksUrl
      lines['auth_oauth2.https.cacertfile'] = pki.ca.certificateFile
      lines['auth_oauth2.https.peer_verification'] = 'verify_peer'
    }
    for (const [kid, pem] of Object.entries(oauth2.signingKeys ?? {})) {
      const file = path.join(directory, `oauth-${createHash('sha256').update(kid).digest('hex').slice(0, 16)}.pem`)
      writeFileSync(file, pem)
      lines[`auth_oauth2.signing_keys.${kid}`] = file
    }
  }
  if (http !== undefined) {
    lines[`auth_backends.${(backends += 1)}`] = 'http'
    lines['auth_http.http_method'] = 'post'
    for (const [what, url] of Object.entries(http)) lines[`auth_http.${what}_path`] = url
    // RabbitMQ 3.10 has no name for these in the newer format, and without them it verifies nothing.
    const { certificateFile, keyFile } = pki.server
    const trust = `{cacertfile,"${pki.ca.certificateFile}"},{verify,verify_peer},{depth,2}`
    const own = `{certfile,"${certificateFile}"},{keyfile,"${keyFile}"}`
    advanced.push(`{rabbitmq_auth_backend_http,[{ssl_options,[${trust},${own}]}]}`)
  }
  const conf = Object.entries(lines)
    .map(([key, value]) => `${key} = ${value}\n`)
    .join('')
  return { conf: `${conf}${options.extraConfig ?? ''}\n`, advanced: `[${advanced.join(',')}].\n` }
}

function prefixed(prefix: string, settings: Readonly<Record<string, string | number>>): Record<string, string | number> {
  return Object.fromEntries(Object.entries(settings).map(([key, value]) => [`${prefix}.${key}`, value]))
}
