import { readFileSync } from 'node:fs'
import { join } from 'node:path'

import { scenarioIds } from '@portcullis/testkit'
import { expect, test } from 'vitest'

import { asMarkdown, asText, countOf, type Cell, type Matrix } from './matrix.ts'
import { adaptersWithSuite, root } from './run-suite.ts'

const matrix: Matrix = new Map([
  [
    'one',
    new Map<string, Cell>(
      scenarioIds.map((id) => [id, id.startsWith('proof.') ? { outcome: 'refused', because: 'no proofs' } : { outcome: 'passed' }]),
    ),
  ],
  ['two', new Map<string, Cell>([['credential.none', { outcome: 'failed' }]])],
])

test('counts what passed, failed, was refused, and was not asked', () => {
  expect(countOf(matrix)).toEqual({ passed: scenarioIds.length - 3, refused: 3, failed: 1, hole: scenarioIds.length - 1 })
})

test('shows a failure and a hole, and gives each reason once', () => {
  const page = asMarkdown(matrix)
  expect(page).toMatch(/`credential.none` .* \| ✓ \| ✗ \|/)
  expect(page).toMatch(/`credential.sound` .* \| ✓ \|  \|/)
  expect(page).toMatch(/`proof.replayed` .* \| – \(1\) \|  \|/)
  expect(page.match(/no proofs/g)).toHaveLength(1)
  expect(asText(matrix).split('\n')).toHaveLength(scenarioIds.length + 1)
})

const howTo = 'write the page anew: pnpm --filter @portcullis/test-conformance matrix'

test('docs/conformance.md has every adapter and every scenario, without a failure or a hole', () => {
  const [header = '', , ...rows] = readFileSync(join(root, 'docs', 'conformance.md'), 'utf8')
    .split('\n')
    .filter((line) => line.startsWith('|'))
  const cellsOf = (row: string): string[] =>
    row
      .split('|')
      .slice(1, -1)
      .map((cell) => cell.trim())
  expect(cellsOf(header).slice(2), howTo).toEqual(adaptersWithSuite())
  expect(
    rows.map((row) => cellsOf(row)[0]),
    howTo,
  ).toEqual(scenarioIds.map((id) => `\`${id}\``))
  for (const row of rows) for (const cell of cellsOf(row).slice(2)) expect(cell, row).toMatch(/^(✓|– \(\d+\))$/)
})
