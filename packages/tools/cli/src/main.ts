#!/usr/bin/env node
import { run } from './run.ts'

// Whoever reads us has seen enough (`| head -1`). What was not delivered was not accepted either.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error
  process.exit(1)
})

// npm installs it there with a warning, and it would fail half-way.
if (Number.parseInt(process.versions.node, 10) < 22) {
  process.stderr.write(`portcullis needs Node 22.22 or newer; this is ${process.versions.node}.\n`)
  process.exit(2)
}

process.exitCode = await run(process.argv.slice(2), process)
