import { createHash } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import path from 'node:path'
import { expect, test } from 'vitest'
import { privateFolder } from './folder.ts'
import { locate, pathOf } from './locate.ts'
import { verify } from './provision.ts'
import { type Tool, type ToolName, tools } from './tools.ts'

const sum = (text: string): string => createHash('sha256').update(text).digest('hex')

test('what was fetched is exactly what was pinned', () => {
  const folder = privateFolder('verify')
  writeFileSync(path.join(folder, 'a.jar'), 'a')
  writeFileSync(path.join(folder, 'b.jar'), 'b')
  const list = `${sum('a')}  a.jar\n${sum('b')}  b.jar\n`
  expect(() => verify(folder, list)).not.toThrow()
  expect(() => verify(folder, list.replace(sum('b'), sum('c')))).toThrow('b.jar is not what was pinned')
  expect(() => verify(folder, `${sum('a')}  a.jar\n`)).toThrow('b.jar is not what was pinned')
  expect(() => verify(folder, `${list}${sum('c')}  c.jar\n`)).toThrow('1 of the pinned files are missing')
  expect(() => verify(folder, '')).toThrow('a.jar is not what was pinned')
})

test('each tool can be had somehow, and whatever is fetched is pinned to a version', () => {
  for (const [name, tool] of Object.entries(tools) as [ToolName, Tool][]) {
    expect(tool.debian !== undefined || tool.fetch !== undefined, name).toBe(true)
    if (tool.fetch !== undefined) expect(tool.version, name).toMatch(/^\d+\.\d+\.\d+$/)
    for (const way of tool.fetch ?? []) if (way.by === 'pip') for (const hash of way.sha256) expect(hash).toMatch(/^[0-9a-f]{64}$/)
  }
})

test('what cannot be found is named part by part', () => {
  const { found, missing } = locate('openssl')
  expect([...Object.keys(found), ...missing].toSorted()).toEqual(Object.keys(tools.openssl.paths).toSorted())
})

test('asking for what is not there is an error that says how to get it, never a skipped test', () => {
  expect(() => pathOf('openssl', 'absent' as 'openssl')).toThrow(
    'absent (foreign client, test PKI) is not on this machine; run: npm run provision',
  )
})
