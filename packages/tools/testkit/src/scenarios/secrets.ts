import type { Scenario } from '../scenario.ts'

/** Every scenario is searched for secrets when it ends; this one is there to be found in the matrix. */
export const secretScenarios = {
  'secrets.unseen': {
    title: 'no secret is in any answer, event, error or line of output, whatever became of it',
    rule: 'RFC 6750 section 5.2',
    async steps(stage) {
      await stage.open({})
      await stage.expect(stage.peer({}), {}, { outcome: 'allowed' })
      for (const presents of [
        [{ token: { defect: 'tampered' } }],
        [{ token: { scopes: [] } }],
        [{ token: { expiresInSeconds: -60 } }],
        [{ basic: { username: 'alice', password: 'correct-horse-battery-0815' } }],
        [{ raw: 'Bearer not a token but a-secret-all-the-same-2342' }],
      ] as const) {
        await stage.expect(stage.peer({ presents }), {}, { outcome: 'refused' })
      }
      stage.expectNoSecrets()
    },
  },
} as const satisfies Record<string, Scenario>
