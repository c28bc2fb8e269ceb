import { EventEmitter, once } from 'node:events'

import {
  authenticator,
  credentialOf,
  notMine,
  parseAuthorization,
  vouchForPrincipal,
  type Credential,
  type Decision,
  type Principal,
} from '@portcullis/core'
import { createVerifier } from '@portcullis/jwt'
import { describe, it } from 'vitest'

import type { Carrier, Harness, Observed, PeerSetup, Unsupported } from './harness.ts'
import type { TestIssuer } from './issuer.ts'
import { runScenario } from './run-scenario.ts'
import { scenarioIds } from './scenarios/index.ts'

// The consumer behind a broker: nobody connects to it, its channel has no certificate, and each message brings a
// signed envelope in place of an access token. The broker is a list in memory; what TLS does is not asked here.

interface Message {
  readonly topic: string
  readonly envelopes: readonly { readonly carrier: string; readonly text: string }[]
}

const typ = 'message+jws'
const outcomeOf = { challenge: 'challenged', forbid: 'forbidden', unavailable: 'unavailable' } as const

const credentialsOf = ({ envelopes }: Message): Credential[] =>
  envelopes.map(({ carrier, text }) =>
    text.includes(' ') || text.split('.').length !== 3
      ? { ...parseAuthorization(text), carrier }
      : { kind: 'envelope', carrier, envelope: text },
  )

let issuer: TestIssuer | undefined

const harness: Harness = {
  mechanism(setup) {
    issuer = setup.issuer
    const { audience, jwks, clock, revocations } = setup.issuer
    const verifier = createVerifier({
      issuer: setup.issuer.issuer,
      audience,
      typ,
      keys: setup.keys === 'document' ? { jwks } : { jwksUri: setup.keys.unreachable },
      clock,
      revocations,
    })
    return authenticator<Principal>(
      'envelope',
      async ({ credentials }) => {
        const presented = credentialOf(credentials, 'envelope')
        if (presented === undefined) return notMine
        const verified = await verifier.verify(presented.envelope)
        if ('refused' in verified) return verified
        const {
          iss = '',
          sub = '',
          scope,
          cnf,
        } = verified.claims as { iss?: string; sub?: string; scope?: string; cnf?: Record<string, string> }
        return vouchForPrincipal({
          issuer: iss,
          subject: sub,
          scopes: (scope ?? '').split(' '),
          expiresAt: new Date(verified.acceptedUntilMs),
          ...(cnf && { confirmation: cnf }),
        })
      },
      [{ scheme: 'Bearer' }],
    )
  },
  async listen({ guard, operations, application }) {
    const broker = new EventEmitter()
    const consume = async (message: Message, settled: string): Promise<void> => {
      const own = operations.find(({ name }) => name === message.topic)
      const decision: Decision = await (own?.guard ?? guard).decide({
        credentials: credentialsOf(message),
        action: 'consume',
        resource: message.topic,
        attributes: {},
        channel: { from: 'relay', protocol: 'relay', secure: true },
      })
      const deadLetter = (outcome: Observed['outcome'], challenges: readonly string[] = []): Observed => ({
        outcome,
        challenges,
        wire: outcome,
      })
      if (decision.outcome !== 'allow')
        return void broker.emit(
          settled,
          deadLetter(
            outcomeOf[decision.outcome],
            decision.offers.map(({ scheme }) => scheme),
          ),
        )
      if (own === undefined) return void broker.emit(settled, deadLetter('forbidden'))
      try {
        broker.emit(settled, { outcome: 'allowed', answer: application.answer(message.topic, decision.principal), wire: '' })
      } catch {
        broker.emit(settled, deadLetter('unavailable'))
      }
    }
    let messages = 0
    const produce = async (topic: string, { carriers }: PeerSetup): Promise<Observed> => {
      const id = `settled ${++messages}`
      const settled = once(broker, id) as Promise<[Observed]>
      void consume(
        {
          topic,
          envelopes: carriers.map((carrier) => ({
            carrier: carrier.place === 'second' ? 'header:other' : 'header:envelope',
            text: textOf(carrier),
          })),
        },
        id,
      )
      const [observed] = await settled
      return observed
    }
    const textOf = ({ facts, text }: Carrier): string => (facts === undefined ? text : (issuer?.token({ ...facts, header: { typ } }) ?? ''))
    return {
      origin: 'relay://localhost',
      peer: (setup) => ({ call: (topic) => produce(topic, setup) }),
      client: () => Promise.reject(new Error('not asked')),
      close: () => Promise.resolve(),
    }
  },
}

const noCertificate: Unsupported = { because: 'a relay has no certificate of the producer', observed: 'challenged' }
const behindABroker: Harness = {
  ...harness,
  unsupported: { 'policy.secondFactorPresent': noCertificate, 'channel.certificate': noCertificate, 'channel.boundToThis': noCertificate },
}
const asked = scenarioIds.filter((id) => /^(credential|policy|secrets)\.|^channel\.(certificate|boundTo\w+)$/.test(id))

describe('a consumer behind a broker', () => {
  it.each(asked)('%s', async (id) => {
    await runScenario(behindABroker, id)
  })
})
