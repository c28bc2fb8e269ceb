import type { Anonymous, Policy, Principal } from '@portcullis/core'
import type { Kind } from './kind.ts'
import { apiKeysKind } from './kinds/api-keys.ts'
import { basicKind } from './kinds/basic.ts'
import { clientCertificateKind } from './kinds/client-certificate.ts'
import { dpopTokensKind } from './kinds/dpop-tokens.ts'
import { introspectionKind } from './kinds/introspection.ts'
import { jwtKind } from './kinds/jwt.ts'
import { signedMessagesKind } from './kinds/signed-messages.ts'
import type { Making } from './making.ts'
import { mistake, placed } from './mistake.ts'
import { below, type Plain } from './plain-data.ts'
import { requireTable } from './readers.ts'

/** The kinds of mechanism that data can describe, each by the name of the function that it calls. */
const kinds: ReadonlyMap<string, Kind> = new Map([
  ['jwt', jwtKind],
  ['basic', basicKind],
  ['apiKeys', apiKeysKind],
  ['introspection', introspectionKind],
  ['dpopTokens', dpopTokensKind],
  ['clientCertificate', clientCertificateKind],
  ['signedMessages', signedMessagesKind],
])

/** Words of `authenticate` that are no mechanism's name. */
export const reserved: ReadonlySet<string> = new Set(['everyone', 'absent'])

export type Mechanisms = ReadonlyMap<string, Policy<Principal | Anonymous>>

/** Makes each mechanism of `[mechanisms]` once, to be shared by all levels that name it, beside those made in code. */
export async function mechanismsOf(
  where: string,
  data: Plain | undefined,
  inCode: Readonly<Record<string, Policy<Principal | Anonymous>>>,
  making: Making,
): Promise<Mechanisms> {
  const made = new Map(Object.entries(inCode))
  for (const name of made.keys()) if (reserved.has(name)) throw reservedName(below(where, name))
  if (data === undefined) return made
  for (const [name, value] of Object.entries(requireTable(where, data))) {
    const at = below(where, name)
    if (reserved.has(name)) throw reservedName(at)
    if (made.has(name)) throw mistake('ERR_CONFIG_MECHANISM_DUPLICATE', at, 'is made in code already.')
    const table = requireTable(at, value)
    const [kind = '', second] = Object.keys(table)
    const make = kinds.get(kind)
    if (make === undefined || second !== undefined)
      throw mistake('ERR_OPTION_UNKNOWN', at, `must have one kind of ${[...kinds.keys()].join(', ')}, and nothing else.`)
    const place = below(at, kind)
    made.set(name, await placed(place, () => make(place, table[kind] ?? null, name, making)))
  }
  return made
}

function reservedName(where: string) {
  return mistake('ERR_CONFIG_MECHANISM_DUPLICATE', where, 'has a name with a meaning of its own.')
}
