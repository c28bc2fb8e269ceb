import { describe, it } from 'vitest'
import { examples, expectToPass, needsServer } from './run.test-support.ts'

describe('every example that needs a server', () => {
  it.each(examples.filter(needsServer))('%s', { timeout: 120_000 }, (name) => expectToPass(name))
})
