import { defineConfig } from 'vitest/config'

// Tests run on the sources: no build is needed to try a change across packages.
const conditions = ['@portcullis/source', 'module', 'node', 'import', 'default']

export default defineConfig({
  resolve: { conditions },
  ssr: { resolve: { conditions, externalConditions: conditions } },
  test: {
    include: ['packages/*/*/src/**/*.test.ts', 'test/*/**/*.test.ts', 'bench/**/*.test.ts', 'examples/**/*.test.ts'],
    // Starts nothing by itself: the first test that asks for a server does, and the end of the run stops it.
    globalSetup: ['./test/servers/src/shared.ts'],
    testTimeout: 20_000,
    hookTimeout: 60_000,
    maxWorkers: 2,
  },
})
