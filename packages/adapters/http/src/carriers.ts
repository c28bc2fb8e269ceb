import { checkOptions, ConfigurationError } from '@portcullis/core'
import type { Carriers } from './describe.ts'

/** Refuses places that are none, and those that are read anyway. */
export function checkedCarriers(carriers: Carriers = {}): Carriers {
  checkOptions<Carriers>('carriers', carriers, { headers: true, cookies: true })
  for (const places of [carriers.headers, carriers.cookies]) {
    for (const [name, kind] of Object.entries(places ?? {})) {
      if (!/^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/.test(name) || (kind !== 'apiKey' && kind !== 'bearer'))
        throw new ConfigurationError('ERR_OPTION_INVALID', `carriers: "${name}" needs a field's or cookie's name and "apiKey" or "bearer".`)
      if (name.toLowerCase() === 'authorization' || name.toLowerCase() === 'dpop')
        throw new ConfigurationError('ERR_OPTION_INVALID', `carriers: "${name}" is read anyway.`)
    }
  }
  return carriers
}
