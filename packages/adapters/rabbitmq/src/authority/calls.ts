import { secret, type AccessRequest, type Action, type Credential, type Secret } from '@portcullis/core'

/** The calls of the plugin, by the last part of their path. */
export type CallName = 'user' | 'vhost' | 'resource' | 'topic'

/** A login: the only call that carries a credential. */
export interface UserCall {
  readonly call: 'user'
  readonly username: string
  /** Absent where the broker has another proof, such as a client certificate (EXTERNAL). */
  readonly password?: Secret
  /** For the authorizer; not every version and protocol tells it here, and the virtual host is asked about again. */
  readonly attributes: Readonly<Record<string, string>>
}

/** A call about somebody who has logged in. */
export interface NamedCall {
  readonly call: Exclude<CallName, 'user'>
  readonly username: string
  readonly virtualHost: string
  readonly action: Action
}

/**
 * The attributes of what the broker asks an authorizer: `enter` with the virtual host as resource; `configure`, `write`
 * and `read` with the name of the exchange or queue.
 */
export interface Asked extends Record<string, unknown> {
  readonly virtualHost: string
  /** `topic`: an exchange of type topic, with a routing key. */
  readonly kind: 'virtualHost' | 'exchange' | 'queue' | 'topic'
  /** For `topic` only. */
  readonly routingKey?: string
}

/**
 * Reads a call strictly: a name twice, bytes that are no UTF-8 and values that do not exist are no call. Fields that are
 * not known are left alone, since versions of the plugin add some. Returns `undefined` for what cannot be read.
 */
export function readCall(call: CallName, body: Buffer): UserCall | NamedCall | undefined {
  const fields = readForm(body)
  const username = fields?.get('username')
  if (fields === undefined || username === undefined || username === '') return undefined
  if (call === 'user') return userCall(username, fields)
  const virtualHost = fields.get('vhost')
  if (virtualHost === undefined || virtualHost === '') return undefined
  const action = call === 'vhost' ? enter(virtualHost) : use(call, virtualHost, fields)
  return action && { call, username, virtualHost, action }
}

/** A login, in no protocol's words. That its connection is encrypted is the broker's to see to: it tells nothing of it. */
export function describeLogin({ username, password, attributes }: UserCall, kind: 'basic' | 'bearer'): AccessRequest {
  return {
    credentials: password === undefined ? [] : [credentialOf(kind, username, password)],
    action: 'connect',
    resource: 'rabbitmq',
    attributes: { ...attributes, username },
    channel: { from: 'relay', protocol: 'amqp', secure: true },
  }
}

function credentialOf(kind: 'basic' | 'bearer', username: string, password: Secret): Credential {
  const carrier = 'password'
  // Directories take a bind without a password for one by nobody, and report success.
  if (password.reveal() === '') return { kind: 'malformed', carrier, why: 'the password is empty' }
  return kind === 'basic' ? { kind, carrier, username, password } : { kind, carrier, token: password }
}

function userCall(username: string, fields: ReadonlyMap<string, string>): UserCall {
  const [password, virtualHost, clientId] = [fields.get('password'), fields.get('vhost'), fields.get('client_id')]
  return {
    call: 'user',
    username,
    ...(password !== undefined && { password: secret(password) }),
    attributes: { ...(virtualHost !== undefined && { virtualHost }), ...(clientId !== undefined && { clientId }) },
  }
}

function enter(virtualHost: string): Action {
  return { action: 'enter', resource: virtualHost, attributes: { virtualHost, kind: 'virtualHost' } satisfies Asked }
}

const permissions = new Set(['configure', 'write', 'read'])
const kinds: Readonly<Record<'resource' | 'topic', readonly string[]>> = { resource: ['exchange', 'queue'], topic: ['topic'] }

function use(call: 'resource' | 'topic', virtualHost: string, fields: ReadonlyMap<string, string>): Action | undefined {
  const [kind, resource, action, routingKey] = ['resource', 'name', 'permission', 'routing_key'].map((name) => fields.get(name))
  if (kind === undefined || resource === undefined || action === undefined) return undefined
  if (!kinds[call].includes(kind) || !permissions.has(action)) return undefined
  if (call === 'resource') return { action, resource, attributes: { virtualHost, kind } }
  return routingKey === undefined ? undefined : { action, resource, attributes: { virtualHost, kind, routingKey } }
}

/** The form as the broker writes it; `URLSearchParams` would make one name of two that are no UTF-8, and let a field stand twice. */
function readForm(body: Buffer): ReadonlyMap<string, string> | undefined {
  const fields = new Map<string, string>()
  try {
    for (const field of body.toString('latin1').split('&')) {
      // The broker writes an empty field for an empty map.
      if (field === '') continue
      const [name, value] = splitAt(field, '=').map((part) => decodeURIComponent(part.replaceAll('+', ' ')))
      if (name === undefined || value === undefined || !/^[\x21-\x7e]+$/.test(field) || fields.has(name)) return undefined
      fields.set(name, value)
    }
  } catch {
    return undefined
  }
  return fields
}

function splitAt(text: string, mark: string): string[] {
  const at = text.indexOf(mark)
  return at === -1 ? [text] : [text.slice(0, at), text.slice(at + 1)]
}
