import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, it } from 'vitest'
import { killWhileBusy, startInstance } from './instances.test-support.ts'

const folder = mkdtempSync(join(tmpdir(), 'portcullis-sts-'))
afterAll(() => rmSync(folder, { recursive: true }))

it('a file has everything that was answered when the process is killed in the middle of it', { timeout: 120_000 }, async () => {
  const state = { kind: 'sqlite', file: join(folder, 'sts.db') } as const
  const { access, refresh } = await killWhileBusy(await startInstance(state), 16, 60)
  expect(access.length).toBeGreaterThanOrEqual(60)
  const next = await startInstance(state)
  try {
    for (const token of access) expect(await next.isActive(token)).toBe(true)
    for (const token of refresh) expect((await next.refresh(token)).status).toBe(200)
  } finally {
    await next.kill()
  }
})
