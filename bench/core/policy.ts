/** Decisions with one rule, and with ten thousand. */
import {
  anyOf,
  authenticator,
  guard,
  scope,
  secret,
  vouchForPrincipal,
  type AccessRequest,
  type Authorizer,
  type Decision,
} from '@portcullis/core'
import { inline, measure, withSpread, type Variant } from '../measure.ts'
import type { RunOptions, Table } from '../table.ts'

const counts = [1, 100, 10_000]
const alice = vouchForPrincipal({ issuer: 'https://issuer.example', subject: 'alice', scopes: ['right-0'] })
const bearer = authenticator('bearer', () => alice, [{ scheme: 'Bearer' }])
const request: AccessRequest = {
  credentials: [{ kind: 'bearer', carrier: 'bench', token: secret('a token') }],
  action: 'read',
  resource: 'orders',
  attributes: {},
  channel: { protocol: 'bench', from: 'peer', secure: true },
}

/** Whether a decision grows with the levels of a guard, and with the scopes of which one is asked for. */
export async function run({ quick }: RunOptions): Promise<Table> {
  const variants = counts.flatMap((count): Variant[] => {
    const service = guard({ authenticate: bearer })
    const levels = Array.from({ length: count }, (_, at) => service.with({ authorize: scope(`right-${at}`) }))
    const scopes = Array.from({ length: count }, (_, at) => scope(`right-${count - 1 - at}`)) as [Authorizer, ...Authorizer[]]
    const any = guard({ authenticate: bearer, authorize: anyOf(...scopes) })
    return [
      inline(`levels ${count}`, () => allowed(levels[0]?.decide(request))),
      inline(`scopes ${count}`, () => allowed(any.decide(request))),
    ]
  })
  const measured = await measure(variants, quick ? { rounds: 7, roundMs: 10 } : { rounds: 40, roundMs: 20 })
  const cell = (name: string): string => withSpread(measured.get(name))
  return {
    title: 'Decisions: 1, 100 and 10,000 rules',
    note: 'Processor time for a decision that allows, of a mechanism that costs nothing; median of interleaved rounds (± half the distance of the quartiles). Levels: as many guards, one for each resource, of which one is asked. Scopes: one guard that asks for any of as many scopes, of which the last is held.',
    columns: ['rules', 'as levels', 'as scopes of one level'],
    rows: counts.map((count) => [count.toLocaleString('en'), cell(`levels ${count}`), cell(`scopes ${count}`)]),
  }
}

function allowed(decision: Decision | Promise<Decision> | undefined): void {
  if (decision === undefined || decision instanceof Promise || decision.outcome !== 'allow') throw new Error('not allowed')
}
