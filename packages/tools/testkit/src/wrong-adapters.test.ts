import { expect, test } from 'vitest'

import { describeConformance } from './describe-conformance.ts'
import { runScenario } from './run-scenario.ts'
import { scenarioIds, scenarios, type ScenarioId } from './scenarios/index.ts'
import { tiny, type Defect } from './tiny-adapter.test-support.ts'

/** The scenarios that fail, if for a reason like this. */
async function failing(defect: Defect, ids: readonly ScenarioId[], reason = /./): Promise<readonly ScenarioId[]> {
  const failed: ScenarioId[] = []
  for (const id of ids) {
    await runScenario(tiny(defect), id).catch((error: unknown) => reason.test(String(error)) && failed.push(id))
  }
  return failed
}

const expecting = (allowed: boolean): readonly ScenarioId[] =>
  scenarioIds.filter((id) => {
    const scenario = scenarios[id]
    // What TLS refuses, it refuses below the adapter.
    return (
      'observed' in scenario &&
      !['closed', 'clientRefused'].includes(scenario.observed.outcome) &&
      (scenario.observed.outcome === 'allowed') === allowed
    )
  })

// The same adapter without a fault: what the wrong ones fail, it passes.
await describeConformance('tiny', tiny('none'))

test('fails an adapter that accepts everything, in every scenario of a refusal', async () => {
  const refusals = expecting(false)
  expect(refusals.length).toBeGreaterThan(20)
  expect(await failing('acceptsEverything', refusals, /observed allowed/)).toEqual(refusals)
})

test('fails an adapter that refuses everything, in every scenario of an acceptance', async () => {
  const acceptances = expecting(true)
  expect(acceptances.length).toBeGreaterThan(5)
  expect(await failing('refusesEverything', acceptances, /observed (challenged|clientRefused)/)).toEqual(acceptances)
})

// The kit waits for an end that does not come, each time; so only the scenarios in question are run.
const wrong: readonly (readonly [Defect, readonly [ScenarioId, ...ScenarioId[]]])[] = [
  ['ignoresExpiry', ['live.expiry']],
  ['tellsFaults', ['policy.handlerFault']],
  ['takesTheFirstCredential', ['credential.twoInOneCarrier', 'credential.oneKindInTwoCarriers']],
  ['forgetsTheCertificate', ['channel.certificate', 'channel.boundToThis', 'policy.secondFactorPresent']],
  ['echoesTheCredential', ['credential.expired', 'credential.malformed', 'secrets.unseen']],
  ['answersBeforeTheGuard', ['credential.none', 'policy.missingScope']],
  ['forgetsTheBinding', ['proof.sound']],
  ['neverTellsItsSource', ['client.oneRefresh']],
  ['sendsTheRefusedAgain', ['client.noLoop']],
  ['trustsEveryServer', ['client.untrustedServer', 'client.wrongHostName']],
  ['speaksWithoutTls', ['client.plaintext']],
  ['neverRenews', ['client.renewal']],
]

test.each(wrong)('fails an adapter that %s', async (defect, ids) => {
  expect(await failing(defect, ids)).toEqual(ids)
})
