/**
 * `@portcullis/testkit`: the scenario suite that every adapter passes, over real sockets, and what tests of secured
 * services need: an issuer in the process whose tokens can be wrong in every way, certificates, a clock.
 *
 * For tests only. The issuer signs whatever it is told to; do not install it where a service runs.
 */
export { describeConformance } from './describe-conformance.ts'
export type { TestRunner } from './describe-conformance.ts'
export { runScenario } from './run-scenario.ts'
export type { Verdict } from './run-scenario.ts'
export { scenarioIds, scenarios } from './scenarios/index.ts'
export type { ScenarioId } from './scenarios/index.ts'
export type { Expected, Given, PolicyName, Presented, Scenario, Story, Trial } from './scenario.ts'
export type {
  Application,
  Carrier,
  ClientSetup,
  Ended,
  Harness,
  ListenerSetup,
  Listening,
  Live,
  MechanismSetup,
  Observed,
  Operation,
  Outcome,
  Peer,
  PeerSetup,
  Unsupported,
} from './harness.ts'
export { connectBare } from './connect-bare.ts'
export type { Stage } from './stage.ts'
export { testIssuer } from './issuer.ts'
export type { Defect, TestIssuer, TestIssuerOptions, TokenFacts } from './issuer.ts'
export { asUser } from './as-user.ts'
export type { TestUser } from './as-user.ts'
export { jwksEndpoint } from './jwks-endpoint.ts'
export type { JwksEndpoint } from './jwks-endpoint.ts'
export { proofKey } from './proof.ts'
export type { ProofKey } from './proof.ts'
export { testPki } from './pki.ts'
export type { CertificateName, ServerName, TestIdentity, TestPki } from './pki.ts'
