import { isDate } from 'node:util/types'

/** Tells a date that is one: an expiry by any other value, or by an invalid date, would be no expiry. */
export function isValidDate(value: unknown): value is Date {
  return isDate(value) && !Number.isNaN(value.getTime())
}
