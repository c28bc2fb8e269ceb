import {
  checkOptions,
  ConfigurationError,
  requireFunction,
  requireText,
  systemClock,
  type Anonymous,
  type AuditSubscriber,
  type Clock,
  type Guard,
  type Policy as Mechanism,
  type Principal,
} from '@portcullis/core'
import { parse, TomlError } from 'smol-toml'
import type { authenticationDisabled } from './danger.ts'
import type { ConfigErrorCode } from './errors.ts'
import { levelsOf, type Levels, type Openings } from './levels.ts'
import { Making } from './making.ts'
import { mechanismsOf } from './mechanisms.ts'
import { mistake } from './mistake.ts'
import { plainTable } from './plain-data.ts'

type Party = Principal | Anonymous

/** The services of an application, each with the names of its resources: as a list, or as a table that has them as keys. */
export type ServiceNames = Readonly<Record<string, readonly string[] | Readonly<Record<string, unknown>>>>
type ResourceName<R> = R extends readonly (infer Name extends string)[] ? Name : keyof R & string

/** What {@link policyFrom} takes beside the data: all that only code may say. */
export interface PolicyOptions<P extends Party = Principal, S extends ServiceNames = ServiceNames> {
  /**
   * The services and resources that there are. Data can speak of these and no others, so that a misspelt path is an error
   * and not a policy that nobody enforces. Default: none, one policy for everything.
   */
  readonly services?: S
  /** Mechanisms made in code, which the data may name like their own. */
  readonly mechanisms?: Readonly<Record<string, Mechanism<P>>>
  /**
   * Options of mechanisms that data cannot hold, by path: `{ 'mechanisms.staff.jwt.revocations': denyList() }`. Functions,
   * stores, TLS bundles, the symbols of a `/danger`. A path that leads nowhere is an error.
   */
  readonly inCode?: Readonly<Record<string, unknown>>
  /** Where the data may say `"everyone"` or `"absent"`: `['services./health.authenticate']`. Default: nowhere. */
  readonly anonymous?: readonly string[]
  /** Where the data may say `enabled = false`: `{ 'services./health.enabled': authenticationDisabled }`. Default: nowhere. */
  readonly disabled?: Readonly<Record<string, typeof authenticationDisabled>>
  /** Where relative paths of files begin. Default: the working directory. */
  readonly directory?: string
  /** As in `guard()` of `@portcullis/core`. */
  readonly audit?: AuditSubscriber | readonly AuditSubscriber[]
  readonly clock?: Clock
}

/** What {@link policyFrom} makes: guards for all levels. */
export interface ConfiguredPolicy<P extends Party = Principal, S extends ServiceNames = ServiceNames> extends AsyncDisposable {
  /** The guard of the whole: pass it to a listener, of any protocol. */
  readonly guard: Guard<P>
  /**
   * The guard of a service or one of its resources, which inherits what the data do not say there. Throws
   * `ERR_CONFIG_LEVEL_UNKNOWN` for names that {@link PolicyOptions.services} does not have.
   */
  at<Name extends keyof S & string>(service: Name, resource?: ResourceName<S[Name]>): Guard<P>
  /**
   * The `services` of `serve()` of `@portcullis/http`, for services named by their paths and resources named
   * `GET /path`: give it `resource` of that package, and a handler for each.
   */
  routes<H, R>(
    resource: (init: { readonly method: string; readonly path: string; readonly guard: Guard<P>; readonly handler: H }) => R,
    handlers: { readonly [Name in keyof S]: { readonly [One in ResourceName<S[Name]>]: H } },
  ): readonly { readonly path: string; readonly guard: Guard<P>; readonly resources: readonly [R, ...R[]] }[]
  /** Ends what the policy opened: watchers of files, connections to directories. Guards then judge by what they have. */
  close(): Promise<void>
}

type OnlyPrincipals = { readonly anonymous?: never; readonly disabled?: never }

/**
 * Makes a policy out of plain data: the same guards that a user could have made by hand, and nothing else (D-4 to D-6).
 * The data are the result of a parser (JSON, TOML: {@link policyFromToml}) or a literal.
 *
 * Every error names the path, such as `services./orders.resources.GET /:id.scopes[1]`. Unknown and misspelt keys, empty
 * lists and texts, and values that are not plain are errors at every depth. Data cannot let anybody in who proves
 * nothing, except where `anonymous` or `disabled` name the very place; handlers then may meet {@link Anonymous}.
 *
 * Throws `ConfigurationError`s: `ERR_CONFIG_*`, core's `ERR_OPTION_*` and `ERR_POLICY_*`, and what the mechanisms throw of
 * their options. Packages of mechanisms are loaded only if the data name them.
 */
export async function policyFrom<P extends Principal = Principal, const S extends ServiceNames = {}>(
  data: Readonly<Record<string, unknown>>,
  options?: PolicyOptions<P, S> & OnlyPrincipals,
): Promise<ConfiguredPolicy<Principal, S>>
export async function policyFrom<P extends Party = Party, const S extends ServiceNames = {}>(
  data: Readonly<Record<string, unknown>>,
  options: PolicyOptions<P, S>,
): Promise<ConfiguredPolicy<Party, S>>
export async function policyFrom(
  data: Readonly<Record<string, unknown>>,
  options: PolicyOptions<Party> = {},
): Promise<ConfiguredPolicy<Party>> {
  checkOptions<PolicyOptions<Party>>('policyFrom', options, {
    services: true,
    mechanisms: true,
    inCode: true,
    anonymous: true,
    disabled: true,
    directory: true,
    audit: true,
    clock: true,
  })
  const { services = {}, mechanisms = {}, inCode = {}, directory = '.', clock = systemClock, audit = [] } = options
  const subscribers = typeof audit === 'function' ? [audit] : audit
  for (const subscriber of subscribers) requireFunction('policyFrom audit', subscriber)
  const root = plainTable(data)
  checkOptions('The policy', root, { name: true, mechanisms: true, authenticate: true, scopes: true, enabled: true, services: true })
  const making = new Making(clock, requireText('policyFrom directory', directory), inCode)
  try {
    const known = await mechanismsOf('mechanisms', root['mechanisms'], mechanisms, making)
    making.requireAllUsed()
    const name = root['name'] === undefined ? {} : { name: requireText('name', root['name']) }
    const names = new Map(Object.entries(services).map(([service, resources]) => [service, namesIn(resources)]))
    const levels = levelsOf(root, names, known, openingsOf(options), { ...name, clock, audit: subscribers })
    making.reportTo(levels.guard)
    return policyOf(levels, () => making.close())
  } catch (error) {
    await making.close()
    throw error
  }
}

/** {@link policyFrom} for the text of a TOML file. Throws `ERR_CONFIG_TOML` with line and column, and without the text, which may hold secrets. */
export async function policyFromToml<P extends Principal = Principal, const S extends ServiceNames = {}>(
  text: string,
  options?: PolicyOptions<P, S> & OnlyPrincipals,
): Promise<ConfiguredPolicy<Principal, S>>
export async function policyFromToml<P extends Party = Party, const S extends ServiceNames = {}>(
  text: string,
  options: PolicyOptions<P, S>,
): Promise<ConfiguredPolicy<Party, S>>
export async function policyFromToml(text: string, options: PolicyOptions<Party> = {}): Promise<ConfiguredPolicy<Party>> {
  return policyFrom(parsed(text), options)
}

function parsed(text: string): Readonly<Record<string, unknown>> {
  try {
    return parse(requireText('policyFromToml', text))
  } catch (error) {
    if (!(error instanceof TomlError)) throw error
    throw new ConfigurationError<ConfigErrorCode>('ERR_CONFIG_TOML', `Line ${error.line}, column ${error.column} is no valid TOML.`)
  }
}

function openingsOf({ anonymous = [], disabled = {} }: PolicyOptions<Party>): Openings {
  return { anonymous: new Set(anonymous), disabled: new Map(Object.entries(disabled)) }
}

function namesIn(resources: ServiceNames[string]): readonly string[] {
  return Array.isArray(resources) ? (resources as readonly string[]) : Object.keys(resources)
}

function policyOf({ guard, services }: Levels, close: () => Promise<void>): ConfiguredPolicy<Party> {
  const serviceAt = (name: string) => {
    const found = services.get(name)
    if (found === undefined) throw mistake('ERR_CONFIG_LEVEL_UNKNOWN', `services.${name}`, 'was not named in `services` of policyFrom.')
    return found
  }
  const at = (name: string, resource?: string): Guard => {
    const found = serviceAt(name)
    const judging = resource === undefined ? found.guard : found.resources.get(resource)
    if (judging === undefined)
      throw mistake('ERR_CONFIG_LEVEL_UNKNOWN', `services.${name}.resources.${resource}`, 'was not named in `services` of policyFrom.')
    return judging
  }
  return Object.freeze({
    guard,
    at,
    routes: <H, R>(
      resource: (init: { readonly method: string; readonly path: string; readonly guard: Guard; readonly handler: H }) => R,
      handlers: Readonly<Record<string, Readonly<Record<string, H>>>>,
    ) =>
      Object.entries(handlers).map(([path, below]) => ({
        path,
        guard: at(path),
        resources: Object.entries(below).map(([name, handler]) => {
          const space = name.indexOf(' ')
          return resource({ method: name.slice(0, space), path: name.slice(space + 1), guard: at(path, name), handler })
        }) as [R, ...R[]], // a service without resources is refused by the listener
      })),
    close,
    [Symbol.asyncDispose]: close,
  })
}
