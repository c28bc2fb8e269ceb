import { spawn } from 'node:child_process'
import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect } from 'vitest'

// Each example is run as a user runs it; it says itself what is not as it should be, and ends with 1. Those that need a
// server say so by importing what starts it, and run in examples.servers.test.ts.
const folder = import.meta.dirname
export const examples = globSync('*/*/main.ts', { cwd: folder }).map((file) => file.replaceAll('\\', '/').replace(/\/main\.ts$/, ''))
export const needsServer = (name: string): boolean =>
  globSync(`${name}/*.ts`, { cwd: folder }).some((file) => readFileSync(join(folder, file), 'utf8').includes('@portcullis/test-servers'))

/** Runs one to its end. */
export function run(name: string): Promise<{ readonly code: number | null; readonly output: string }> {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, ['--conditions=@portcullis/source', join(folder, name, 'main.ts')], {
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    let output = ''
    child.stdout.on('data', (chunk) => (output += String(chunk)))
    child.stderr.on('data', (chunk) => (output += String(chunk)))
    child.once('close', (code) => resolve({ code, output }))
  })
}

/** Runs one and looks at what it says. */
export async function expectToPass(name: string): Promise<void> {
  const { code, output } = await run(name)
  expect(output).not.toMatch(/^WRONG/m)
  expect(output).toMatch(/^ok /m)
  expect({ code, output }).toMatchObject({ code: 0 })
  expect(readFileSync(join(folder, name, 'README.md'), 'utf8')).toMatch(/^# .+\n\n/)
}
