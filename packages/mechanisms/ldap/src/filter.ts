import { ConfigurationError, requireText } from '@portcullis/core'
import type { Filter } from 'ldapts'
import { AndFilter, EqualityFilter, FilterParser } from 'ldapts'

/** Makes a filter for a value. */
export type FilterFor = (value: string) => Filter

/** Compares an attribute with a value, which needs no escaping since nothing is written as text. */
export function equality(attribute: string): FilterFor {
  return (value) => new EqualityFilter({ attribute, value })
}

/** What both filters accept. */
export function both(one: Filter, other: FilterFor): FilterFor {
  return (value) => new AndFilter({ filters: [one, other(value)] })
}

const escapes: Readonly<Record<string, string>> = {
  '*': String.raw`\2a`,
  '(': String.raw`\28`,
  ')': String.raw`\29`,
  '\\': String.raw`\5c`,
  '\0': String.raw`\00`,
}

/** Escapes a value for its place in a filter, so that it is compared and never read as filter (RFC 4515 section 3). */
export function escapeFilterValue(value: string): string {
  return value.replace(/[*()\\\0]/g, (character) => escapes[character] ?? '')
}

/**
 * Reads a filter with `?` in place of a value, such as `(&(objectClass=inetOrgPerson)(uid=?))`; every `?` becomes the
 * same value, escaped. Throws `ERR_OPTION_INVALID` for one without `?`, or that is no filter.
 */
export function filterTemplate(where: string, text: string): FilterFor {
  const parts = requireText(where, text).split('?')
  if (parts.length < 2) throw new ConfigurationError('ERR_OPTION_INVALID', `${where} must contain a "?" where the value belongs.`)
  const fill: FilterFor = (value) => FilterParser.parseString(parts.join(escapeFilterValue(value)))
  parsed(where, () => fill('x'))
  return fill
}

/** Reads a filter without a place for a value. Throws `ERR_OPTION_INVALID`. */
export function fixedFilter(where: string, text: string): Filter {
  requireText(where, text)
  return parsed(where, () => FilterParser.parseString(text))
}

function parsed<T>(where: string, parse: () => T): T {
  try {
    return parse()
  } catch (cause) {
    throw new ConfigurationError('ERR_OPTION_INVALID', { message: `${where} is no filter (RFC 4515).`, cause })
  }
}
