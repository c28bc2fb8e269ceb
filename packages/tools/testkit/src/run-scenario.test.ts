import { expect, test } from 'vitest'

import { describeConformance } from './describe-conformance.ts'
import type { Harness, Listening, Unsupported } from './harness.ts'
import { runScenario } from './run-scenario.ts'
import { scenarioIds, type ScenarioId } from './scenarios/index.ts'
import { tiny } from './tiny-adapter.test-support.ts'

const right = tiny('none')
const declaring = (id: ScenarioId, unsupported: Unsupported): Promise<unknown> =>
  runScenario({ ...right, unsupported: { [id]: unsupported } }, id)
const because = 'the wire has no room for it'

test('what is declared unsupported must be refused, as declared', async () => {
  await expect(declaring('credential.none', { because, observed: 'challenged' })).resolves.toBe('unsupported')
  await expect(declaring('credential.none', { because, observed: 'closed' })).rejects.toThrow(
    'Declared unsupported and closed, observed challenged',
  )
  await expect(declaring('credential.sound', { because, observed: 'challenged' })).rejects.toThrow('observed allowed')
})

test('what is declared unsupported needs a reason, and steps that can be taken', async () => {
  await expect(declaring('credential.none', { because: ' ', observed: 'challenged' })).rejects.toThrow('needs a reason')
  await expect(declaring('live.expiry', { because, observed: 'challenged' })).rejects.toThrow('needs an `attempt`')
  await expect(
    declaring('live.expiry', { because, observed: 'challenged', attempt: (stage) => stage.attempt({ presents: [] }) }),
  ).resolves.toBe('unsupported')
  await expect(declaring('live.scopeLost', { because, observed: 'closed', attempt: (stage) => stage.endsAtExpiry() })).resolves.toBe(
    'unsupported',
  )
})

test('a wire that cannot tell outcomes apart says so, and is held to it', async () => {
  const mute: Harness = { ...right, wording: { forbidden: 'challenged' } }
  await expect(runScenario(mute, 'credential.none')).resolves.toBe('passed')
  await expect(runScenario(mute, 'policy.missingScope')).rejects.toThrow('observed forbidden')
})

const adaptedBy = (change: (listening: Listening) => Partial<Listening>): Harness => ({
  async listen(setup) {
    const listening = await right.listen(setup)
    return { ...listening, ...change(listening) }
  },
})

test('a harness that cannot do what a scenario needs is told to declare it', async () => {
  const calls = adaptedBy((listening) => ({
    peer: (setup) => ({ call: (operation) => listening.peer(setup).call(operation) }),
    binding: () => undefined as never,
  }))
  await expect(runScenario(calls, 'live.expiry')).rejects.toThrow('declare the scenario unsupported')
  await expect(runScenario(calls, 'proof.sound')).rejects.toThrow('declare the scenario unsupported')
})

test('an answer that does not come is a failure and never a refusal', async () => {
  const hanging = adaptedBy(() => ({ peer: () => ({ call: () => new Promise(() => undefined) }) }))
  await expect(runScenario(hanging, 'channel.plaintext')).rejects.toThrow('did not happen within')
})

test('an outcome is compared with the audit trail too', async () => {
  // It says the right thing on the wire, and never asked the guard.
  const lying = adaptedBy(() => ({
    peer: () => ({ call: () => Promise.resolve({ outcome: 'challenged', challenges: ['Bearer'], wire: '' }) }),
  }))
  await expect(runScenario(lying, 'credential.expired')).rejects.toThrow('audit trail')
})

test('the suite has a test for every scenario in any runner, and the reasons in the names', async () => {
  const names: string[] = []
  const runner = { describe: (_name: string, body: () => void) => body(), it: (name: string) => void names.push(name) }
  await describeConformance('tiny', { ...right, unsupported: { 'proof.sound': { because, observed: 'challenged' } } }, runner)
  expect(names.map((name) => name.slice(0, name.indexOf(':')))).toEqual(scenarioIds)
  expect(names.filter((name) => name.includes('[unsupported'))).toEqual([
    `proof.sound: a proof over the method and address of the call is allowed [unsupported: ${because}]`,
  ])
})
