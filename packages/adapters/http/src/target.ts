/** Why a request target is refused. */
export type TargetFault = 'ERR_HTTP_TARGET_TOO_LONG' | 'ERR_HTTP_TARGET_MALFORMED' | 'ERR_HTTP_METHOD_OVERRIDE'

/** A request target that may be matched: its path, decoded segment by segment, and its query as received. */
export interface Target {
  /** As received, without the query. */
  readonly path: string
  /** With the question mark; empty without a query. */
  readonly query: string
}

// What two parsers could read differently, so that the guard would judge one path and a handler serve another: encoded
// separators, encoded or plain dot segments, empty segments, NUL and other controls, backslashes, broken escapes.
const confusing =
  /%(?:2f|5c|00|0[0-9a-f]|1[0-9a-f]|7f|25(?:2f|5c|2e|00))|%(?![0-9a-f]{2})|\/\/|\/(?:\.|%2e){1,2}(?:\/|$)|\\|[^\u0021-\u007e]|#/i

/**
 * Splits a request target, or says with which code it is refused. Only the origin form is taken (RFC 9112 section
 * 3.2.1): an absolute form names a host a second time, and whoever believes the other one serves another resource.
 */
export function parseTarget(target: string, maxLength: number): Target | TargetFault {
  if (target.length > maxLength) return 'ERR_HTTP_TARGET_TOO_LONG'
  if (target.charCodeAt(0) !== 0x2f) return 'ERR_HTTP_TARGET_MALFORMED'
  const mark = target.indexOf('?')
  const path = mark === -1 ? target : target.slice(0, mark)
  if (confusing.test(path)) return 'ERR_HTTP_TARGET_MALFORMED'
  if (mark === -1) return { path, query: '' }
  const query = target.slice(mark)
  if (confusingQuery.test(query)) return 'ERR_HTTP_TARGET_MALFORMED'
  // What frameworks with a method override read; the guard has judged the method of the request line.
  if (overridingQuery.test(query)) return 'ERR_HTTP_METHOD_OVERRIDE'
  return { path, query }
}

const confusingQuery = /[^\u0021-\u007e]|#/
const overridingQuery = /[?&](?:_|%5f)method=/i

/** Decodes a path that {@link parseTarget} let through; `undefined` if its escapes are no UTF-8. */
export function decodePath(path: string): string | undefined {
  if (!path.includes('%')) return path
  try {
    return decodeURIComponent(path)
  } catch {
    return undefined
  }
}
