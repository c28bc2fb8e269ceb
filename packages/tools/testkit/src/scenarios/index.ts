import type { Scenario } from '../scenario.ts'
import { channelScenarios } from './channel.ts'
import { clientScenarios } from './client.ts'
import { credentialScenarios } from './credentials.ts'
import { liveScenarios } from './live.ts'
import { policyScenarios } from './policy.ts'
import { proofScenarios } from './proof.ts'
import { secretScenarios } from './secrets.ts'

const all = {
  ...credentialScenarios,
  ...policyScenarios,
  ...channelScenarios,
  ...clientScenarios,
  ...proofScenarios,
  ...liveScenarios,
  ...secretScenarios,
}

/** The name of a scenario. */
export type ScenarioId = keyof typeof all

/** The suite, in the order of the matrix. */
export const scenarios: Readonly<Record<ScenarioId, Scenario>> = all

/** The names, in the order of the matrix. */
export const scenarioIds = Object.keys(all) as readonly ScenarioId[]
