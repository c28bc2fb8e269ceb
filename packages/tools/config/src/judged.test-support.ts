/** What the tests of the mechanisms share: requests, and the comparison of both forms. Not part of what is published. */
import { guard, secret, type AccessRequest, type Credential, type Decision, type Guard, type Policy } from '@portcullis/core'
import type { ManualClock } from '@portcullis/core/testing'
import { expect } from 'vitest'

export const bearer = (token: string): Credential => ({ kind: 'bearer', carrier: 'authorization', token: secret(token) })
export const user = (username: string, password: string): Credential => ({
  kind: 'basic',
  carrier: 'authorization',
  username,
  password: secret(password),
})
export function request(...credentials: Credential[]): AccessRequest {
  const channel = { from: 'peer', protocol: 'https', secure: true, remoteAddress: '127.0.0.1' } as const
  return { credentials, action: 'GET', resource: '/', attributes: {}, channel }
}

const told = (decision: Decision) => [
  decision.outcome,
  decision.code,
  decision.outcome === 'allow'
    ? [decision.principal.kind === 'principal' && { ...decision.principal, scopes: [...decision.principal.scopes] }]
    : decision.offers,
]

/** Both forms say the same of every request; returns what they said, in short. */
export async function judged(declared: Guard, byHand: Policy, requests: readonly AccessRequest[], clock?: ManualClock): Promise<string[]> {
  const hand = guard({ authenticate: byHand, ...(clock && { clock }) })
  const said: string[] = []
  for (const asked of requests) {
    const [one, two] = [await declared.decide(asked), await hand.decide(asked)]
    expect(told(one)).toEqual(told(two))
    said.push(one.code ?? one.outcome)
  }
  return said
}
