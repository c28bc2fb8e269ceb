import { isAlgorithm, type Algorithm } from './algorithms.ts'
import { decodeObject } from './compact.ts'
import { refuse, type JwtRefused } from './errors.ts'

/** Header parameters (RFC 7515 section 4.1). Those named here have these types once the header was read; the rest is as it came. */
export interface JwtHeader {
  readonly alg: Algorithm
  readonly typ?: string
  readonly cty?: string
  readonly kid?: string
  readonly [parameter: string]: unknown
}

/**
 * Reads a header. Parameters that name keys or places (`jku`, `jwk`, `x5u`, `x5c`) are never followed: a key comes out
 * of the configured set or not at all (RFC 8725 section 3.10).
 */
export function readHeader(part: string): JwtHeader | JwtRefused {
  const header = decodeObject(part)
  if (typeof header === 'string') return refuse(header, 'header')
  const { alg, typ, cty, kid } = header
  if (typeof alg !== 'string') return refuse('ERR_JWT_HEADER_INVALID', 'alg')
  if (alg.toLowerCase() === 'none') return refuse('ERR_JWT_UNSECURED', 'alg')
  if (!isAlgorithm(alg)) return refuse('ERR_JWT_ALGORITHM_NOT_ALLOWED', 'alg')
  if (typ !== undefined && typeof typ !== 'string') return refuse('ERR_JWT_HEADER_INVALID', 'typ')
  if (cty !== undefined && typeof cty !== 'string') return refuse('ERR_JWT_HEADER_INVALID', 'cty')
  if (kid !== undefined && typeof kid !== 'string') return refuse('ERR_JWT_HEADER_INVALID', 'kid')
  return checkExtensions(header) ?? (header as JwtHeader)
}

/** RFC 7515 section 4.1.11 and RFC 7797: of extensions only `b64` is understood, and a JWT never has it `false`. */
function checkExtensions(header: Readonly<Record<string, unknown>>): JwtRefused | undefined {
  if (Object.hasOwn(header, 'crit')) {
    const names: unknown = header['crit']
    if (!Array.isArray(names) || names.length === 0 || new Set(names).size < names.length) return refuse('ERR_JWT_CRITICAL_UNKNOWN', 'crit')
    for (const name of names as readonly unknown[]) {
      if (name !== 'b64' || !Object.hasOwn(header, name)) return refuse('ERR_JWT_CRITICAL_UNKNOWN', 'crit')
    }
  }
  return Object.hasOwn(header, 'b64') && header['b64'] !== true ? refuse('ERR_JWT_PAYLOAD_UNENCODED', 'b64') : undefined
}
