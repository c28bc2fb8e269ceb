import { ConfigurationError, type CoreErrorCode } from './errors.ts'

/**
 * Refuses option keys that do not exist, so that a misspelt `audiance` is an error and not a check that is silently off.
 *
 * `known` is a record with every key of `T`, so that the compiler sees when an option is added and not listed.
 * Throws `ERR_OPTION_UNKNOWN`, naming the nearest known key. Inherited keys count as unknown too.
 */
export function checkOptions<T extends object>(where: string, options: T, known: { readonly [K in keyof Required<T>]: true }): void {
  if (typeof options !== 'object' || options === null || Array.isArray(options))
    throw wrong('ERR_OPTION_INVALID', `${where} takes an object of options.`)
  for (const key in options) {
    if (Object.hasOwn(known, key)) continue
    const near = nearest(key, Object.keys(known))
    throw wrong(
      'ERR_OPTION_UNKNOWN',
      `${where} has no option "${key}"${near === undefined ? '.' : `; did you mean "${near}"?`} Known: ${Object.keys(known).join(', ')}.`,
    )
  }
}

/** Refuses anything but a text that is not empty; returns it. Throws `ERR_OPTION_MISSING` or `ERR_OPTION_INVALID`. */
export function requireText(where: string, value: unknown): string {
  if (value === undefined) throw wrong('ERR_OPTION_MISSING', `${where} is required.`)
  if (typeof value !== 'string' || value.trim() === '') throw wrong('ERR_OPTION_INVALID', `${where} must be a text that is not empty.`)
  return value
}

/** Refuses anything but a list with at least one text, none of them empty; returns it. A single text counts as a list of one. */
export function requireTexts(where: string, value: unknown): readonly [string, ...string[]] {
  if (value === undefined) throw wrong('ERR_OPTION_MISSING', `${where} is required.`)
  const list = typeof value === 'string' ? [value] : value
  if (!Array.isArray(list) || list.length === 0) throw wrong('ERR_OPTION_INVALID', `${where} must be a list that is not empty.`)
  list.forEach((text, at) => requireText(`${where}[${at}]`, text))
  return Object.freeze([...list]) as unknown as readonly [string, ...string[]] // every element was checked just above
}

/** Refuses anything but a finite number within the bounds; returns it. The name should carry the unit. */
export function requireNumber(where: string, value: unknown, bounds: { readonly min: number; readonly max: number }): number {
  if (typeof value !== 'number' || !Number.isFinite(value) || value < bounds.min || value > bounds.max) {
    throw wrong('ERR_OPTION_INVALID', `${where} must be a number from ${bounds.min} to ${bounds.max}.`)
  }
  return value
}

/** Refuses anything but a function; returns it. */
export function requireFunction<F extends (...args: never[]) => unknown>(where: string, value: F | undefined): F {
  if (value === undefined) throw wrong('ERR_OPTION_MISSING', `${where} is required.`)
  if (typeof value !== 'function') throw wrong('ERR_OPTION_INVALID', `${where} must be a function.`)
  return value
}

function wrong(code: CoreErrorCode, message: string): ConfigurationError<CoreErrorCode> {
  return new ConfigurationError(code, message)
}

/** The known key that is at most a third of its length away from what was written, by edit distance. */
function nearest(written: string, known: readonly string[]): string | undefined {
  let best: string | undefined
  let bestDistance = Number.POSITIVE_INFINITY
  for (const key of known) {
    const distance = editDistance(written.toLowerCase(), key.toLowerCase())
    if (distance < bestDistance && distance <= Math.max(2, key.length / 3)) {
      best = key
      bestDistance = distance
    }
  }
  return best
}

function editDistance(a: string, b: string): number {
  let previous = Array.from({ length: b.length + 1 }, (_, i) => i)
  for (let i = 1; i <= a.length; i++) {
    const row = [i]
    for (let j = 1; j <= b.length; j++) {
      row.push(Math.min((previous[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1, (previous[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1)))
    }
    previous = row
  }
  return previous[b.length] ?? 0
}
