/** Runs every adapter's suite, prints the matrix, and writes it to docs/conformance.md. Ends with 1 if a scenario fails. */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'

import { asMarkdown, asText, countOf } from './matrix.ts'
import { root, runSuites } from './run-suite.ts'

const matrix = await runSuites()
const { passed, refused, failed, hole } = countOf(matrix)
await writeFile(join(root, 'docs', 'conformance.md'), asMarkdown(matrix))
process.stdout.write(
  `${asText(matrix)}\n\n${matrix.size} adapters: ${passed} passed, ${refused} excluded by the wire and refused, ${failed} failed, ${hole} not asked\n`,
)
process.exitCode = failed + hole === 0 && matrix.size > 0 ? 0 : 1
