import type { Anonymous, Policy, Principal } from '@portcullis/core'
import type { Making } from './making.ts'
import type { Plain } from './plain-data.ts'

/** Makes a mechanism out of its table: calls the function that the kind is named after. `name` is the mechanism's in the data. */
export type Kind = (where: string, value: Plain, name: string, making: Making) => Promise<Policy<Principal | Anonymous>>
