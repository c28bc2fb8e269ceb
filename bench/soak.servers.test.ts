import { describe, expect, it } from 'vitest'
import { lengths, soak, type SoakScene } from './broker-soak.ts'
import { open as openKafka } from './kafka/soak.ts'
import { coreSoak, lengths as coreLengths } from './nats/core-soak.ts'
import { open as openNats } from './nats/soak.ts'
import { open as openRabbitmq } from './rabbitmq/soak.ts'

const scenes: Readonly<Record<string, () => Promise<SoakScene>>> = {
  '@platformatic/kafka': () => openKafka('platformatic'),
  kafkajs: () => openKafka('kafkajs'),
  'NATS JetStream': openNats,
  RabbitMQ: openRabbitmq,
}

describe.each(Object.entries(scenes))('a short soak by %s', (_name, open) => {
  it('loses nothing, handles nothing twice and nobody unproven, while credentials and certificates are exchanged', async () => {
    const report = await soak(open, lengths.short)
    expect(report).toMatchObject({ lost: 0, twice: 0, unauthenticated: 0, unsignedSent: 1, unsignedRefused: 1 })
    expect(report.sent).toBeGreaterThanOrEqual(lengths.short.messages)
    expect(report.credentials).toBeGreaterThanOrEqual(lengths.short.credentialRotations)
  }, 180_000)
})

describe('a short soak by core NATS', () => {
  it('drops only what was on the way while the subscriber was away, handles nothing twice and nobody unproven', async () => {
    const report = await coreSoak(coreLengths.short)
    expect(report).toMatchObject({ droppedOutside: 0, twice: 0, unauthenticated: 0, unsignedSent: 10, unsignedRefused: 10 })
    expect(report.received + report.dropped).toBe(report.published)
    expect(report.received).toBeGreaterThan(report.published / 2)
    expect(report.reconnections).toBeGreaterThanOrEqual(coreLengths.short.credentialRotations)
  }, 120_000)
})
