import {
  checkOptions,
  everyone,
  guard,
  type Anonymous,
  type AuditSubscriber,
  type Authorizer,
  type Clock,
  type Everyone,
  type Guard,
  type Policy,
  type Principal,
} from '@portcullis/core'
import { authenticationDisabled } from './danger.ts'
import { readAuthenticate, readScopes } from './lists.ts'
import type { Mechanisms } from './mechanisms.ts'
import { mistake, placedNow } from './mistake.ts'
import { below, type Plain, type PlainTable } from './plain-data.ts'
import { requireTable } from './readers.ts'

type Party = Principal | Anonymous

/** Where the calling code lets data open a level, by path. Each must be there, or it is misspelt. */
export interface Openings {
  readonly anonymous: ReadonlySet<string>
  readonly disabled: ReadonlyMap<string, unknown>
}

/** A level as it stands: who judges it, and who would if nothing were disabled. */
interface Standing {
  readonly guard: Guard
  readonly judged: Guard
}

/** The guards of all levels that the calling code names. */
export interface Levels {
  readonly guard: Guard
  readonly services: ReadonlyMap<string, { readonly guard: Guard; readonly resources: ReadonlyMap<string, Guard> }>
}

/** The names of resources by service, as the calling code has them. */
export type Names = ReadonlyMap<string, readonly string[]>

const levelKeys = { authenticate: true, scopes: true, enabled: true } as const

/** Makes the guards: listener → service → resource, each derived from the one above (D-6). */
export function levelsOf(
  data: PlainTable,
  names: Names,
  mechanisms: Mechanisms,
  openings: Openings,
  init: { readonly name?: string; readonly clock: Clock; readonly audit: readonly AuditSubscriber[] },
): Levels {
  const read = (where: string, table: PlainTable): LevelData => readLevel(where, table, mechanisms, openings)
  const { authenticate, authorize, enabled } = read('', data)
  if (authenticate === undefined) throw mistake('ERR_OPTION_MISSING', 'authenticate', 'is required: which mechanisms prove a peer.')
  const judged = placedNow('authenticate', () =>
    guard({ authenticate, ...(authorize && { authorize }), ...init } as Parameters<typeof guard>[0]),
  )
  const listener: Standing = { judged, guard: enabled === false ? judged.with({ authenticate: everyone() }) : judged }

  const services = new Map<string, { readonly guard: Guard; readonly resources: ReadonlyMap<string, Guard> }>()
  const written = tableAt('services', data['services'])
  requireNamed('services', written, [...names.keys()])
  for (const [service, resourceNames] of names) {
    const where = below('services', service)
    const table = tableAt(where, written[service])
    checkOptions(where, table, { ...levelKeys, resources: true })
    const standing = derive(where, read(where, table), listener)
    const resourcesAt = below(where, 'resources')
    const resourcesWritten = tableAt(resourcesAt, table['resources'])
    requireNamed(resourcesAt, resourcesWritten, resourceNames)
    const resources = new Map(
      resourceNames.map((resource) => {
        const here = below(resourcesAt, resource)
        const own = tableAt(here, resourcesWritten[resource])
        checkOptions(here, own, levelKeys)
        return [resource, derive(here, read(here, own), standing).guard] as const
      }),
    )
    services.set(service, { guard: standing.guard, resources })
  }
  return { guard: listener.guard, services }
}

interface LevelData {
  readonly authenticate: Policy<Party> | Everyone | undefined
  readonly authorize: Authorizer | undefined
  readonly enabled: boolean | undefined
}

function readLevel(where: string, table: PlainTable, mechanisms: Mechanisms, { anonymous, disabled }: Openings): LevelData {
  const { authenticate, scopes, enabled } = table
  const at = { authenticate: below(where, 'authenticate'), scopes: below(where, 'scopes'), enabled: below(where, 'enabled') }
  if (enabled !== undefined && typeof enabled !== 'boolean') throw mistake('ERR_OPTION_INVALID', at.enabled, 'must be true or false.')
  if (enabled === false && disabled.get(at.enabled) !== authenticationDisabled)
    throw mistake(
      'ERR_CONFIG_DISABLED',
      at.enabled,
      `is false; that takes effect only where the calling code has \`disabled: { '${at.enabled}': authenticationDisabled }\`.`,
    )
  return {
    authenticate:
      authenticate === undefined ? undefined : readAuthenticate(at.authenticate, authenticate, mechanisms, anonymous.has(at.authenticate)),
    authorize: scopes === undefined ? undefined : readScopes(at.scopes, scopes),
    enabled,
  }
}

/** A lower level: what it does not name it inherits. */
function derive(where: string, { authenticate, authorize, enabled }: LevelData, above: Standing): Standing {
  const isOpenAbove = above.guard !== above.judged
  const says = authenticate !== undefined || authorize !== undefined
  // Nobody could tell whether it inherits the scopes of a level that judges nobody.
  if (isOpenAbove && says && enabled === undefined)
    throw mistake('ERR_OPTION_MISSING', below(where, 'enabled'), 'is required: the level above is disabled.')
  const level = { ...(authenticate && { authenticate }), ...(authorize && { authorize }) } as Parameters<Guard['with']>[0]
  const judged = says ? placedNow(where, () => above.judged.with(level)) : above.judged
  if (enabled ?? !isOpenAbove) return { judged, guard: judged }
  return { judged, guard: enabled === false ? judged.with({ authenticate: everyone() }) : above.guard }
}

function tableAt(where: string, value: Plain | undefined): PlainTable {
  return value === undefined ? {} : requireTable(where, value)
}

/** A level that nobody asks for would be a policy that nobody enforces. */
function requireNamed(where: string, table: PlainTable, names: readonly string[]): void {
  for (const name of Object.keys(table))
    if (!names.includes(name))
      throw mistake(
        'ERR_CONFIG_LEVEL_UNKNOWN',
        below(where, name),
        `is not among the ${where.split('.').at(-1)} that the calling code names: ${names.join(', ') || 'none'}.`,
      )
}
