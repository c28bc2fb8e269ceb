import {
  checkOptions,
  ConfigurationError,
  requireGuard,
  type Anonymous,
  type Authorizer,
  type Guard,
  type Principal,
} from '@portcullis/core'
import { CorsRules, type Cors } from './cors.ts'
import type { Handler } from './handler.ts'
import { decodeSegment } from './target.ts'

type Party = Principal | Anonymous

interface ResourcePlace {
  /** In capitals; `*` for every method that no other resource of the path takes. A GET answers HEAD too. */
  readonly method: string
  /** Below the service's path: `/`, `/:id`, `/files/*`. A more specific path wins: text before `:name` before `*`. */
  readonly path: string
  /** Replaces the service's. */
  readonly cors?: Cors
}

/** A resource under its service's guard, or with other rights than the service's. */
export interface InheritingResource<P extends Party = Party> extends ResourcePlace {
  readonly handler: Handler<P>
  /** Replaces what the level above demands of the same principals. */
  readonly authorize?: Authorizer
  readonly guard?: never
}

/** A resource with a guard of its own. */
export interface GuardedResource<P extends Party = Party> extends ResourcePlace {
  readonly guard: Guard<P>
  readonly handler: Handler<P>
}

const resources = new WeakSet<object>()

/** Made by {@link resource}: a resource whose handler's principal was checked against its own guard. */
export interface Resource extends ResourcePlace {
  readonly guard: Guard
  readonly handler: Handler
  readonly resource: true
}

/** A resource with a guard of its own, which the type of its handler's principal follows. */
export function resource<P extends Party>(init: GuardedResource<P>): Resource {
  checkOptions<GuardedResource<P>>('resource', init, { method: true, path: true, cors: true, guard: true, handler: true })
  // The guard and the handler agree on P; from here on they go together and nobody asks again.
  const made = Object.freeze({
    ...init,
    guard: requireGuard('resource', init.guard) as Guard,
    handler: init.handler as Handler,
    resource: true as const,
  })
  resources.add(made)
  return made
}

/** Resources below one path. */
export interface Service<P extends Party = Party> {
  /** `/orders`, or `/`. */
  readonly path: string
  /** Covers the service's resources, and what is asked for below its path and is not there. Make it from the listener's by `guard.with(…)` to inherit. */
  readonly guard: Guard<P>
  readonly cors?: Cors
  readonly resources: readonly [InheritingResource<P> | Resource, ...(InheritingResource<P> | Resource)[]]
}

/** Checks a service's types: the principal of each handler is that of the guard above it. Returns it as it is. */
export function service<P extends Party>(init: Service<P>): Service {
  // As in `resource`: guard and handlers agree on P here.
  return init as unknown as Service
}

/** What answers a method of a path. */
export interface Entry {
  /** The path as registered. */
  readonly pattern: string
  readonly guard: Guard
  readonly handler: Handler
  readonly cors: CorsRules | undefined
}

/** What is registered for a path. */
export interface PathRoutes {
  readonly pattern: string
  readonly entries: ReadonlyMap<string, Entry>
  /** For `Allow` and preflights. */
  readonly methods: readonly string[]
  /** Judges a method that the path does not take. */
  readonly guard: Guard
}

/** A path that matched. */
export interface Match {
  readonly routes: PathRoutes
  readonly parameters: Readonly<Record<string, string>>
}

interface Node {
  readonly texts: Map<string, Node>
  parameter: Node | undefined
  names: readonly string[]
  routes: MutableRoutes | undefined
  rest: Node | undefined
}
interface MutableRoutes extends PathRoutes {
  readonly entries: Map<string, Entry>
  methods: string[]
}

const noParameters: Readonly<Record<string, string>> = Object.freeze(Object.create(null) as Record<string, string>)
const methodPattern = /^(?:\*|[A-Z][A-Z-]{0,31})$/
const segmentPattern = /^(?:[A-Za-z0-9._~!$&'()+,;=@-]+|:[A-Za-z_][A-Za-z0-9_]*|\*)$/

/** The routes of a listener. What none of them covers is refused. */
export class Router {
  readonly #root: Node = node()
  readonly #plain = new Map<string, Match>()
  readonly #services: { readonly path: string; readonly guard: Guard }[] = []
  readonly #guard: Guard
  /** Whether any level speaks the CORS protocol. */
  readonly hasCors: boolean

  constructor(guard: Guard, services: readonly Service[], handler: Handler | undefined, cors: Cors | undefined) {
    this.#guard = guard
    const rules = cors === undefined ? undefined : new CorsRules('cors', cors)
    for (const one of services) this.#addService(one, rules)
    if (handler !== undefined) this.#add('*', '/*', { pattern: '/*', guard, handler: requireHandler('serve', handler), cors: rules }, guard)
    if (this.#plain.size === 0 && this.#root.texts.size === 0 && this.#root.parameter === undefined && this.#root.rest === undefined)
      throw new ConfigurationError('ERR_HTTP_ROUTE_INVALID', 'A listener needs a handler or services.')
    this.hasCors =
      cors !== undefined || services.some((one) => one.cors !== undefined || one.resources.some((below) => below.cors !== undefined))
    // Longest first, so that the nearest level is found first.
    this.#services.sort((a, b) => b.path.length - a.path.length)
  }

  /** The most specific path that covers this one. The path has passed {@link parseTarget}. */
  match(path: string): Match | undefined {
    const plain = this.#plain.get(path)
    if (plain !== undefined) return plain
    const segments: string[] = []
    for (const segment of path.slice(1).split('/')) {
      const decoded = decodeSegment(segment)
      if (decoded === undefined) return undefined
      segments.push(decoded)
    }
    const values: string[] = []
    const found = find(this.#root, segments, 0, values)
    if (found?.routes === undefined) return undefined
    if (found.names.length === 0) return { routes: found.routes, parameters: noParameters }
    const parameters = Object.create(null) as Record<string, string>
    found.names.forEach((name, at) => (parameters[name] = values[at] ?? ''))
    return { routes: found.routes, parameters }
  }

  /** Who judges a path that nothing covers: the nearest service above it, else the listener. */
  guardAbove(path: string): Guard {
    for (const { path: above, guard } of this.#services) if (path === above || path.startsWith(`${above}/`)) return guard
    return this.#guard
  }

  #addService(added: Service, inherited: CorsRules | undefined): void {
    checkOptions<Service>('service', added, { path: true, guard: true, cors: true, resources: true })
    const guard = requireGuard(`service ${added.path}`, added.guard)
    const base = added.path === '/' ? '' : added.path
    if (base !== '') segmentsOf(base)
    if (!Array.isArray(added.resources) || added.resources.length === 0) throw invalid(`Service ${added.path} has no resources.`)
    const cors = added.cors === undefined ? inherited : new CorsRules(`service ${added.path} cors`, added.cors)
    this.#services.push({ path: base, guard })
    for (const one of added.resources) {
      const pattern = one.path === '/' && base !== '' ? base : base + one.path
      const where = `${one.method} ${pattern}`
      let own = guard
      if (resources.has(one)) own = (one as Resource).guard
      else {
        checkOptions<InheritingResource>(where, one as InheritingResource, {
          method: true,
          path: true,
          cors: true,
          authorize: true,
          handler: true,
          guard: true,
        })
        if (one.guard !== undefined)
          throw invalid(
            `${where}: a resource with a guard of its own is made by resource({ … }), so that its handler's principal is of that guard's type.`,
          )
        const { authorize } = one as InheritingResource
        if (authorize !== undefined) own = guard.with({ authorize })
      }
      this.#add(
        one.method,
        pattern,
        {
          pattern,
          guard: own,
          handler: requireHandler(where, one.handler),
          cors: one.cors === undefined ? cors : new CorsRules(`${where} cors`, one.cors),
        },
        guard,
      )
    }
  }

  #add(method: string, pattern: string, entry: Entry, guard: Guard): void {
    if (typeof method !== 'string' || !methodPattern.test(method))
      throw invalid(`${pattern}: "${method}" is no method; write GET, POST, … or *.`)
    if (method === 'HEAD') throw invalid(`${pattern}: HEAD follows GET and is not registered by itself.`)
    const segments = segmentsOf(pattern)
    let at = this.#root
    const names: string[] = []
    for (const segment of segments) {
      if (segment === '*') {
        names.push('*')
        at = at.rest ??= node()
      } else if (segment.startsWith(':')) {
        names.push(segment.slice(1))
        at = at.parameter ??= node()
      } else {
        let next = at.texts.get(segment)
        if (next === undefined) at.texts.set(segment, (next = node()))
        at = next
      }
    }
    if (new Set(names).size !== names.length) throw invalid(`${pattern}: a parameter's name stands twice.`)
    const routes = (at.routes ??= { pattern, entries: new Map(), methods: [], guard })
    if (routes.pattern !== pattern) throw invalid(`${pattern} and ${routes.pattern} cover the same paths.`)
    if (routes.entries.has(method)) throw invalid(`${method} ${pattern} is registered twice.`)
    routes.entries.set(method, entry)
    routes.methods = [...routes.entries.keys()].flatMap((name) =>
      name === 'GET' ? ['GET', 'HEAD'] : name === '*' ? ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE'] : [name],
    )
    at.names = names
    if (names.length === 0) this.#plain.set(pattern, { routes, parameters: noParameters })
  }
}

/** What answers this method: its own entry, GET's for HEAD, or `*`. */
export function entryOf(routes: PathRoutes, method: string): Entry | undefined {
  return routes.entries.get(method === 'HEAD' ? 'GET' : method) ?? routes.entries.get('*')
}

/** Depth first, most specific first; a dead end is left again, so that `/a/:x/c` is found beside `/a/b`. */
function find(at: Node, segments: readonly string[], depth: number, values: string[]): Node | undefined {
  const segment = segments[depth]
  if (segment === undefined) return at.routes === undefined ? undefined : at
  const text = at.texts.get(segment)
  if (text !== undefined) {
    const found = find(text, segments, depth + 1, values)
    if (found !== undefined) return found
  }
  // An empty segment is the one behind a final slash: no value for a parameter.
  if (at.parameter !== undefined && segment !== '') {
    values.push(segment)
    const found = find(at.parameter, segments, depth + 1, values)
    if (found !== undefined) return found
    values.pop()
  }
  if (at.rest === undefined) return undefined
  values.push(segments.slice(depth).join('/'))
  return at.rest
}

function node(): Node {
  return { texts: new Map(), parameter: undefined, names: [], routes: undefined, rest: undefined }
}

function segmentsOf(pattern: string): readonly string[] {
  if (typeof pattern !== 'string' || !pattern.startsWith('/')) throw invalid(`"${pattern}" is no path: it must begin with a slash.`)
  if (pattern === '/') return ['']
  const segments = pattern.slice(1).split('/')
  segments.forEach((segment, at) => {
    if (!segmentPattern.test(segment) || segment === '.' || segment === '..' || (segment === '*' && at !== segments.length - 1))
      throw invalid(`"${pattern}" is no path: "${segment}" is no segment. Write text without escapes, :name, or a final *.`)
  })
  return segments
}

function requireHandler(where: string, handler: unknown): Handler {
  const isNode =
    typeof handler === 'object' && handler !== null && typeof (handler as { requestListener?: unknown }).requestListener === 'function'
  if (typeof handler !== 'function' && !isNode) throw invalid(`${where} needs a handler: a function, or { requestListener }.`)
  return handler as Handler
}

function invalid(message: string): ConfigurationError {
  return new ConfigurationError('ERR_HTTP_ROUTE_INVALID', message)
}
