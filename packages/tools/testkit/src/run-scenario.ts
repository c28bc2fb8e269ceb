import type { Harness, Observed, Unsupported } from './harness.ts'
import { testPki, type TestPki } from './pki.ts'
import type { Given, Scenario, Trial } from './scenario.ts'
import { scenarios, type ScenarioId } from './scenarios/index.ts'
import { Stage } from './stage.ts'

/** What became of a scenario that holds: `passed`, or refused as the harness declared. */
export type Verdict = 'passed' | 'unsupported'

let pki: Promise<TestPki> | undefined

/**
 * Runs one scenario against an adapter, over real sockets. Rejects with what was observed and what must be.
 *
 * One that the harness declares unsupported is tried all the same, and must come out as declared: refused.
 */
export async function runScenario(harness: Harness, id: ScenarioId): Promise<Verdict> {
  const scenario = scenarios[id]
  const excluded = harness.unsupported?.[id]
  // Certificates are as good for a hundred scenarios as for one.
  pki ??= testPki()
  const certificates = await pki
  const onStage = async (act: (stage: Stage) => Promise<void>): Promise<void> => {
    const stage = new Stage(harness, certificates)
    const stopWatching = stage.evidence.watchOutput()
    try {
      await act(stage)
      stage.expectNoSecrets()
    } finally {
      await stage.close()
      stopWatching()
    }
  }
  if (excluded !== undefined) {
    await runUnsupported(scenario, excluded, onStage)
    return 'unsupported'
  }
  if ('steps' in scenario) {
    await onStage((stage) => scenario.steps(stage))
    return 'passed'
  }
  for (const given of situations(scenario)) await onStage((stage) => tryOne(stage, given, scenario))
  const { control } = scenario
  if (control !== undefined)
    await onStage((stage) =>
      tryOne(stage, control, { observed: { outcome: 'allowed', ...(control.policy === 'certificate' && { subject: 'certificate' }) } }),
    )
  return 'passed'
}

type OnStage = (act: (stage: Stage) => Promise<void>) => Promise<void>

async function runUnsupported(scenario: Scenario, { because, observed: declared, attempt }: Unsupported, onStage: OnStage): Promise<void> {
  if (because.trim() === '') throw new Error('An unsupported scenario needs a reason.')
  const refusedAs = (observed: Observed): void => {
    if (observed.outcome !== declared)
      throw new Error(`Declared unsupported and ${declared}, observed ${observed.outcome}: ${observed.wire.slice(0, 500)}`)
  }
  if (attempt !== undefined) return onStage(async (stage) => refusedAs(await attempt(stage)))
  if ('steps' in scenario) throw new Error('A scenario of several steps that is unsupported needs an `attempt` that is refused.')
  for (const given of situations(scenario)) {
    await onStage(async (stage) => refusedAs(await stage.attempt(given)))
  }
}

async function tryOne(stage: Stage, given: Given, { observed }: Pick<Trial, 'observed'>): Promise<void> {
  await stage.open(given)
  await stage.expect(await comer(stage, given), given, observed)
}

function comer(stage: Stage, given: Given): Promise<ReturnType<Stage['peer']>> {
  return given.by === 'client' ? stage.client(given) : Promise.resolve(stage.peer(given))
}

function situations({ given }: Trial): readonly Given[] {
  return Array.isArray(given) ? (given as readonly Given[]) : [given as Given]
}
