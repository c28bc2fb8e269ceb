import type { JwtErrorCode } from './errors.ts'

// No sound token nests deeper; it bounds the recursion below (RFC 8725 section 3.4 asks to validate inputs).
const maxDepth = 32

/** An object out of JSON. */
export type JsonObject = Readonly<Record<string, unknown>>

/**
 * Parses a JSON object, more strictly than `JSON.parse`: no member twice in one object, at any depth (RFC 7519
 * section 4 and RFC 8725 section 2.4 leave two readers to two opinions otherwise), no `__proto__`, no half surrogate,
 * no deep nesting. What is refused comes as the code alone: an object is always the parsed one, whatever its members say.
 */
export function parseObject(text: string): JsonObject | JwtErrorCode {
  const value = parse(text)
  if (!isObject(value)) return 'ERR_JWT_JSON'
  if (isPlainlySound(text, value)) return value
  const members = countMembers(value, 0)
  if (members === tooDeep) return 'ERR_JWT_TOO_DEEP'
  if (members === forbidden) return 'ERR_JWT_MEMBER_FORBIDDEN'
  if (!text.includes('\\')) return members === countNames(text) ? value : 'ERR_JWT_MEMBER_DUPLICATE'
  return parseWithEscapes(text)
}

/**
 * V8 takes a name written with escapes for another one, if it was taught so by what it parsed before
 * (nodejs/node#63785), and here everybody may teach it. So such names are spelt plainly first; a name that cannot be
 * is refused.
 */
function parseWithEscapes(text: string): JsonObject | JwtErrorCode {
  const plain = spellPlainly(text)
  const value = plain === undefined ? undefined : parse(plain)
  if (plain === undefined || !isObject(value)) return 'ERR_JWT_JSON'
  const members = countMembers(value, 0)
  if (members === forbidden) return 'ERR_JWT_MEMBER_FORBIDDEN'
  if (members !== countNames(plain)) return 'ERR_JWT_MEMBER_DUPLICATE'
  return isWellFormed(value) ? value : 'ERR_JWT_UTF8'
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/**
 * What a short look can tell of most payloads: nothing nested, no escapes, and as many members as there are commas to
 * part them. A member that stands twice brings a comma along; one within a string only sends us the long way round.
 */
function isPlainlySound(text: string, value: JsonObject): boolean {
  if (text.includes('{', 1) || text.includes('[') || text.includes('\\') || Object.hasOwn(value, '__proto__')) return false
  let commas = 0
  for (let at = text.indexOf(','); at !== -1; at = text.indexOf(',', at + 1)) commas++
  return commas === Object.keys(value).length - 1
}

const tooDeep = -1
const forbidden = -2

/** How many members the parsed tree has: of two with one name, `JSON.parse` keeps one. */
function countMembers(value: object, depth: number): number {
  if (depth >= maxDepth) return tooDeep
  let count = 0
  if (Array.isArray(value)) {
    for (const item of value as readonly unknown[]) {
      if (typeof item !== 'object' || item === null) continue
      const inner = countMembers(item, depth + 1)
      if (inner < 0) return inner
      count += inner
    }
    return count
  }
  const names = Object.keys(value)
  for (const name of names) {
    if (name === '__proto__') return forbidden
    const item = (value as JsonObject)[name]
    if (typeof item !== 'object' || item === null) continue
    const inner = countMembers(item, depth + 1)
    if (inner < 0) return inner
    count += inner
  }
  return count + names.length
}

const quote = '"'
const backslash = 0x5c
const colon = 0x3a
const space = 0x20

/** How many member names stand in a text that `JSON.parse` has accepted: there, a string before a colon is a name and nothing else is. */
function countNames(text: string): number {
  let count = 0
  for (let open = text.indexOf(quote); open !== -1;) {
    const close = closeOf(text, open)
    let next = close + 1
    while (text.charCodeAt(next) <= space) next++
    if (text.charCodeAt(next) === colon) count++
    open = text.indexOf(quote, next)
  }
  return count
}

/** The text with each member name written without escapes; `undefined` if one needs them (quotes, backslashes, control characters). */
function spellPlainly(text: string): string | undefined {
  let plain = ''
  let done = 0
  for (let open = text.indexOf(quote); open !== -1;) {
    const close = closeOf(text, open)
    let next = close + 1
    while (text.charCodeAt(next) <= space) next++
    const string = text.slice(open, close + 1)
    if (text.charCodeAt(next) === colon && string.includes('\\')) {
      // A string by itself is no member name, and read rightly.
      const spelt = JSON.stringify(JSON.parse(string))
      if (spelt.includes('\\')) return undefined
      plain += text.slice(done, open) + spelt
      done = close + 1
    }
    open = text.indexOf(quote, next)
  }
  return plain + text.slice(done)
}

function closeOf(text: string, open: number): number {
  let close = text.indexOf(quote, open + 1)
  while (isEscaped(text, close)) close = text.indexOf(quote, close + 1)
  return close
}

function isEscaped(text: string, at: number): boolean {
  let first = at
  while (text.charCodeAt(first - 1) === backslash) first--
  return ((at - first) & 1) === 1
}

function isWellFormed(value: unknown): boolean {
  if (typeof value === 'string') return value.isWellFormed()
  if (typeof value !== 'object' || value === null) return true
  if (Array.isArray(value)) return value.every(isWellFormed)
  return Object.entries(value).every(([name, item]) => name.isWellFormed() && isWellFormed(item))
}
