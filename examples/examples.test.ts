import { describe, it } from 'vitest'
import { examples, expectToPass, needsServer } from './run.test-support.ts'

describe('every example that needs no server', () => {
  it.each(examples.filter((name) => !needsServer(name)))('%s', { timeout: 60_000 }, (name) => expectToPass(name))
})
