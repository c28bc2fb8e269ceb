import { forbid, granted, requireText, type Action, type Authorizer, type Denied } from '@portcullis/core'
import type { Asked } from './calls.ts'

interface Pattern {
  readonly permission: string
  readonly virtualHost: Glob
  readonly name: Glob
  readonly routingKey: Glob | undefined
}
type Glob = readonly string[]

/**
 * Permits by scopes, in the grammar of the broker's own OAuth 2 plugin:
 * `<prefix><permission>:<virtual host>/<name>[/<routing key>]`, where `*` stands for any text, and other characters may
 * be percent-encoded (`%2F` is the virtual host `/`). `rabbitmq.write:%2F/orders.*` lets write to what begins with
 * `orders.`; `rabbitmq.write:%2F/events/eu.*` to the topic exchange `events`, with routing keys that begin with `eu.`.
 *
 * As there: any scope for a virtual host lets enter it, and a scope without a routing key permits nothing to a topic
 * exchange beyond the exchange itself, so that such a one needs `/*` at the end.
 *
 * @param prefix what a scope for the broker begins with, so that one for another service counts for nothing here.
 */
export function scopePermissions(prefix = 'rabbitmq.'): Authorizer {
  requireText('scopePermissions', prefix)
  return (principal, action) => {
    if (principal.kind === 'principal')
      for (const scope of principal.scopes) {
        const pattern = scope.startsWith(prefix) ? patternOf(scope.slice(prefix.length)) : undefined
        if (pattern !== undefined && permits(pattern, action)) return granted
      }
    return denied
  }
}

const denied: Denied = Object.freeze(forbid('scopePermissions', { code: 'ERR_SCOPE_INSUFFICIENT' }))

function permits({ permission, virtualHost, name, routingKey }: Pattern, { action, resource, attributes }: Action): boolean {
  const asked = attributes as Partial<Asked>
  if (asked.virtualHost === undefined || !matches(virtualHost, asked.virtualHost)) return false
  if (action === 'enter') return true
  if (action !== permission || !matches(name, resource)) return false
  if (asked.kind !== 'topic') return true
  return routingKey !== undefined && asked.routingKey !== undefined && matches(routingKey, asked.routingKey)
}

function patternOf(scope: string): Pattern | undefined {
  const [, permission, where] = /^(configure|write|read):(.+)$/.exec(scope) ?? []
  if (permission === undefined || where === undefined) return undefined
  const globs = where.split('/').map(globOf)
  const [virtualHost, name, routingKey] = globs
  // A part that cannot be read is not one that is not there.
  if (virtualHost === undefined || name === undefined || globs.length > 3 || globs.includes(undefined)) return undefined
  return { permission, virtualHost, name, routingKey }
}

/** The texts between the asterisks. */
function globOf(pattern: string): Glob | undefined {
  try {
    return pattern.split('*').map((text) => decodeURIComponent(text.replaceAll('+', ' ')))
  } catch {
    return undefined
  }
}

/** Each text where it first fits, the last one at the end: no step is ever taken back, whatever the peer names its queues. */
function matches(glob: Glob, text: string): boolean {
  const [first = '', ...rest] = glob
  const last = rest.pop()
  if (last === undefined) return text === first
  if (!text.startsWith(first)) return false
  let at = first.length
  for (const part of rest) {
    const found = text.indexOf(part, at)
    if (found === -1) return false
    at = found + part.length
  }
  return text.length - last.length >= at && text.endsWith(last)
}
