#!/usr/bin/env node
import { run } from './run.ts'

// Whoever reads us has seen enough (`| head -1`). What was not delivered was not accepted either.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error
  process.exit(1)
})

process.exitCode = await run(process.argv.slice(2), process)
