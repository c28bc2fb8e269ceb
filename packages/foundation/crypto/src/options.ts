import { CryptoError } from './errors.ts'

/**
 * Refuses option keys that do not exist, also inherited ones. `known` names every key of `T`, so that the compiler
 * sees when an option is added and not listed here.
 */
export function checkOptions<T extends object>(where: string, options: T, known: { readonly [K in keyof Required<T>]: true }): void {
  if (typeof options !== 'object' || options === null || Array.isArray(options)) throw invalid(`${where} takes an object of options.`)
  for (const key in options) {
    if (Object.hasOwn(known, key)) continue
    throw new CryptoError('ERR_CRYPTO_OPTION_UNKNOWN', `${where} has no option "${key}". Known: ${Object.keys(known).join(', ')}.`)
  }
}

/** Refuses anything but a whole number within the bounds; returns it. */
export function wholeNumber(where: string, value: unknown, min: number, max: number): number {
  if (typeof value !== 'number' || !Number.isInteger(value) || value < min || value > max) {
    throw invalid(`${where} must be a whole number from ${min} to ${max}.`)
  }
  return value
}

/** The error for a missing, empty or senseless argument. */
export function invalid(message: string): CryptoError {
  return new CryptoError('ERR_CRYPTO_OPTION_INVALID', message)
}
