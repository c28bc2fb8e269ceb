import { describe, expect, it } from 'vitest'
import { soak } from '../soak.ts'

describe.each(['platformatic', 'kafkajs'] as const)('a short soak by %s', (library) => {
  it('loses nothing, handles nothing twice and nobody unproven, while tokens, certificates and the broker are exchanged', async () => {
    const report = await soak({ library, messages: 1_000, credentialRotations: 2, certificateRotations: 1 })
    expect(report).toMatchObject({ sent: 1_000, lost: 0, twice: 0, unauthenticated: 0, unsignedSent: 1, unsignedRefused: 1 })
    expect(report.credentials).toBeGreaterThanOrEqual(3)
  }, 180_000)
})
