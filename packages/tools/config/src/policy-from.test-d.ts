import type { Anonymous, Guard, Principal } from '@portcullis/core'
import { absent } from '@portcullis/core'
import { authenticationDisabled } from './danger.ts'
import { policyFrom } from './index.ts'

const data = { authenticate: 'staff' }
const services = { '/orders': ['GET /:id', 'POST /'], '/health': { 'GET /': 1 } } as const

export async function levels(): Promise<readonly Guard<Principal>[]> {
  const policy = await policyFrom(data, { services })
  // @ts-expect-error a service that there is not
  policy.at('/ordres')
  // @ts-expect-error a resource of another service
  policy.at('/health', 'POST /')
  // @ts-expect-error without services there are no levels
  ;(await policyFrom(data)).at('/orders')
  return [policy.guard, policy.at('/orders'), policy.at('/orders', 'POST /'), policy.at('/health', 'GET /')]
}

export async function openings(): Promise<readonly Guard<Principal | Anonymous>[]> {
  const anonymous = await policyFrom(data, { anonymous: ['authenticate'] })
  const disabled = await policyFrom(data, { disabled: { enabled: authenticationDisabled } })
  // @ts-expect-error handlers may meet peers who proved nothing
  const wrong: Guard<Principal> = anonymous.guard
  // @ts-expect-error here, too
  const alsoWrong: Guard<Principal> = disabled.guard
  // @ts-expect-error and here
  const wrongAsWell: Guard<Principal> = (await policyFrom(data, { mechanisms: { guest: absent() } })).guard
  void [wrong, alsoWrong, wrongAsWell]
  return [anonymous.guard, disabled.guard]
}

export async function weakening(): Promise<void> {
  // @ts-expect-error a boolean is no symbol
  await policyFrom(data, { disabled: { enabled: true } })
  // @ts-expect-error another symbol
  await policyFrom(data, { disabled: { enabled: Symbol.for('portcullis.config.authenticationDisabled') } })
}
