import { checkOptions, ConfigurationError, requireGuard, type Guard } from '@portcullis/core'
import { CorsRules, type Cors } from './cors.ts'
import type { Handler } from './handler.ts'
import { isResource, type InheritingResource, type Resource, type Service } from './routes.ts'
import { decodePath } from './target.ts'

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

type Parameters = Readonly<Record<string, string>>

/** A path that matched. */
export class Match {
  readonly routes: PathRoutes
  readonly #names: readonly string[]
  readonly #path: string
  /** Where each parameter begins and ends in the path. */
  readonly #spans: readonly number[]

  constructor(routes: PathRoutes, names: readonly string[], path: string, spans: readonly number[]) {
    this.routes = routes
    this.#names = names
    this.#path = path
    this.#spans = spans
  }

  /** Made when they are read; without a prototype, since their names may be anything. */
  get parameters(): Parameters {
    if (this.#names.length === 0) return noParameters
    const parameters = new Bare()
    this.#names.forEach((name, at) => (parameters[name] = this.#path.slice(this.#spans[at * 2], this.#spans[at * 2 + 1])))
    return parameters
  }
}

// An object without prototype that is no dictionary: `Object.create(null)` takes four times as long.
const Bare = function () {} as unknown as new () => Record<string, string>
Bare.prototype = Object.create(null)

interface Node {
  readonly texts: Map<string, Node>
  parameter: Node | undefined
  rest: Node | undefined
  names: readonly string[]
  routes: MutableRoutes | undefined
}
interface MutableRoutes extends PathRoutes {
  readonly entries: Map<string, Entry>
  methods: string[]
}

/** The parameters of a path that has none. */
export const noParameters: Parameters = Object.freeze(new Bare())

/** The routes of a listener. What none of them covers is refused. */
export class Router {
  readonly #root: Node = node()
  /** Paths without parameters, which need no walk. */
  readonly #plain = new Map<string, Match>()
  readonly #services: { readonly path: string; readonly guard: Guard }[] = []
  readonly #guard: Guard
  /** Whether any level speaks the CORS protocol. */
  readonly hasCors: boolean

  constructor(guard: Guard, services: readonly Service[], handler: Handler | undefined, cors: Cors | undefined) {
    this.#guard = guard
    const rules = cors === undefined ? undefined : new CorsRules('cors', cors)
    for (const service of services) this.#addService(service, rules)
    if (handler !== undefined) this.#add('*', '/*', { pattern: '/*', guard, handler: requireHandler('serve', handler), cors: rules }, guard)
    else if (services.length === 0) throw invalid('A listener needs a handler or services.')
    this.hasCors =
      cors !== undefined ||
      services.some((service) => service.cors !== undefined || service.resources.some((one) => one.cors !== undefined))
    // Longest first, so that the nearest level is found first.
    this.#services.sort((a, b) => b.path.length - a.path.length)
  }

  /** The most specific path that covers this one. It has passed {@link parseTarget}. */
  match(received: string): Match | undefined {
    // No escape stands for a slash or a dot segment any more, so that decoding changes no boundary.
    const path = decodePath(received)
    if (path === undefined) return undefined
    const plain = this.#plain.size === 0 ? undefined : this.#plain.get(path)
    if (plain !== undefined) return plain
    const spans: number[] = []
    const found = find(this.#root, path, 1, spans)
    return found?.routes === undefined ? undefined : new Match(found.routes, found.names, path, spans)
  }

  /** Who judges a path that nothing covers: the nearest service above it, else the listener. */
  guardAbove(path: string): Guard {
    for (const { path: above, guard } of this.#services) if (path === above || path.startsWith(`${above}/`)) return guard
    return this.#guard
  }

  #addService(service: Service, inherited: CorsRules | undefined): void {
    checkOptions<Service>('service', service, { path: true, guard: true, cors: true, resources: true })
    const guard = requireGuard(`service ${service.path}`, service.guard)
    const base = service.path === '/' ? '' : service.path
    if (base !== '') segmentsOf(base)
    if (!Array.isArray(service.resources) || service.resources.length === 0) throw invalid(`Service ${service.path} has no resources.`)
    const cors = service.cors === undefined ? inherited : new CorsRules(`service ${service.path} cors`, service.cors)
    this.#services.push({ path: base, guard })
    for (const one of service.resources) {
      const pattern = one.path === '/' && base !== '' ? base : base + one.path
      const where = `${one.method} ${pattern}`
      const handler = requireHandler(where, one.handler)
      const own = one.cors === undefined ? cors : new CorsRules(`${where} cors`, one.cors)
      this.#add(one.method, pattern, { pattern, guard: guardOf(where, one, guard), handler, cors: own }, guard)
    }
  }

  #add(method: string, pattern: string, entry: Entry, guard: Guard): void {
    if (typeof method !== 'string' || !methodPattern.test(method))
      throw invalid(`${pattern}: "${method}" is no method; write GET, POST, … or *.`)
    if (method === 'HEAD') throw invalid(`${pattern}: HEAD follows GET and is not registered by itself.`)
    let at = this.#root
    const names: string[] = []
    for (const segment of segmentsOf(pattern)) {
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
    routes.methods = [...routes.entries.keys()].flatMap((name) => namedMethods.get(name) ?? [name])
    at.names = names
    if (names.length === 0) this.#plain.set(pattern, new Match(routes, names, pattern, []))
  }
}

/** What answers this method: its own entry, GET's for HEAD, or `*`. */
export function entryOf(routes: PathRoutes, method: string): Entry | undefined {
  return routes.entries.get(method === 'HEAD' ? 'GET' : method) ?? routes.entries.get('*')
}

/**
 * Depth first, most specific first; a dead end is left again, so that `/a/:x/c` is found beside `/a/b`. `start` is where
 * a segment begins, one beyond the end if there is none.
 */
function find(at: Node, path: string, start: number, spans: number[]): Node | undefined {
  if (start > path.length) return at.routes === undefined ? undefined : at
  const slash = path.indexOf('/', start)
  const end = slash === -1 ? path.length : slash
  const text = at.texts.size === 0 ? undefined : at.texts.get(path.slice(start, end))
  if (text !== undefined) {
    const found = find(text, path, end + 1, spans)
    if (found !== undefined) return found
  }
  // An empty segment is the one behind a final slash: no value for a parameter.
  if (at.parameter !== undefined && end > start) {
    spans.push(start, end)
    const found = find(at.parameter, path, end + 1, spans)
    if (found !== undefined) return found
    spans.length -= 2
  }
  if (at.rest !== undefined) spans.push(start, path.length)
  return at.rest
}

function guardOf(where: string, one: InheritingResource | Resource, inherited: Guard): Guard {
  if (isResource(one)) return one.guard
  checkOptions<InheritingResource>(where, one, { method: true, path: true, cors: true, authorize: true, handler: true, guard: true })
  if (one.guard !== undefined)
    throw invalid(
      `${where}: a resource with a guard of its own is made by resource({ … }), so that its handler's principal is of that guard's type.`,
    )
  return one.authorize === undefined ? inherited : inherited.with({ authorize: one.authorize })
}

function node(): Node {
  return { texts: new Map(), parameter: undefined, rest: undefined, names: [], routes: undefined }
}

const methodPattern = /^(?:\*|[A-Z][A-Z-]{0,31})$/
const segmentPattern = /^(?:[A-Za-z0-9._~!$&'()+,;=@-]+|:[A-Za-z_][A-Za-z0-9_]*|\*)$/
const namedMethods: ReadonlyMap<string, readonly string[]> = new Map([
  ['GET', ['GET', 'HEAD']],
  ['*', ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE']],
])

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
