import { setTimeout as wait } from 'node:timers/promises'
import { pathToFileURL } from 'node:url'
import { parseArgs } from 'node:util'
import { consumer, everyone, guard, producer, scope } from '@portcullis/kafka'
import { dropRefused, withoutIdentity } from '@portcullis/kafka/danger'
import { printTable, type RunOptions, type Table } from '../table.ts'
import { kafkaScene, type Library } from './scene.ts'

/** How long a soak is. */
export interface SoakOptions {
  readonly library: Library
  readonly messages: number
  readonly credentialRotations: number
  readonly certificateRotations: number
}

/** What became of the messages. All but the first five must be zero, or as many as were sent. */
export interface SoakReport {
  readonly sent: number
  readonly credentials: number
  readonly certificateRotations: number
  /** Handed out again at their old position, as at-least-once allows. */
  readonly redelivered: number
  /** Stored twice, since a confirmation was lost; the second was recognized and refused. */
  readonly repetitionsRefused: number
  /** Confirmed to the producer and never handled. */
  readonly lost: number
  /** Handled at two positions under one identifier. */
  readonly twice: number
  /** Handled without being signed, or for somebody else. */
  readonly unauthenticated: number
  /** Unsigned ones sent, and found among the dead letters. */
  readonly unsignedSent: number
  readonly unsignedRefused: number
  readonly seconds: number
}

const sessionMs = 3_000
// A batch is confirmed as a whole; so many are on the way at once.
const batch = 50

/** Sends and consumes while tokens, certificates and the broker itself are exchanged, and counts what became of every message. */
export async function soak({ library, messages, credentialRotations, certificateRotations }: SoakOptions): Promise<SoakReport> {
  const scene = await kafkaScene({ sessionMs })
  const startedAt = performance.now()
  try {
    const [topic, dead] = ['orders', 'orders-dead']
    await scene.topics([topic, dead], 4)
    const client = await scene.open(library)
    const positions = new Map<string, Set<string>>()
    const refused = { unsigned: new Set<string>(), repeated: 0 }
    let [redelivered, unauthenticated] = [0, 0]
    const warehouse = guard({
      authenticate: scene.signatures(),
      authorize: scope('orders:publish'),
      audit: (event) => {
        if (event.type === 'messageRefused' && event.code === 'ERR_MESSAGE_REPLAYED') refused.repeated++
      },
    })
    const receiving = await consumer(
      { client, group: 'warehouse', topics: [topic], guard: warehouse, deadLetter: dead },
      (message, { subject }) => {
        const id = String(message.value)
        if (subject !== 'urn:shop' || id.startsWith('unsigned')) unauthenticated++
        const seen = positions.get(id) ?? new Set()
        const position = `${message.partition}/${message.offset}`
        if (seen.has(position)) redelivered++
        positions.set(id, seen.add(position))
      },
    )
    const reading = await consumer(
      { client, group: 'dead', topics: [dead], guard: guard({ authenticate: everyone() }), deadLetter: dropRefused },
      ({ value }) => void (String(value).startsWith('unsigned') && refused.unsigned.add(String(value))),
    )
    const sending = await producer({ client, identity: scene.identity, maxAttempts: 30 })
    const anonymous = await producer({ client, identity: withoutIdentity, maxAttempts: 30 })

    let sent = 0
    // As many messages between two rotations as between any other two.
    const paceMs = (Math.max(credentialRotations, certificateRotations) * sessionMs * batch) / messages
    const unsignedSent = Math.ceil(messages / 1_000)
    const sendAll = (async () => {
      while (sent < messages) {
        const count = Math.min(batch, messages - sent)
        await sending.send(Array.from({ length: count }, (_, n) => ({ topic, key: `k${(sent + n) % 97}`, value: `m${sent + n}` })))
        sent += count
        await wait(paceMs)
      }
      for (let n = 0; n < unsignedSent; n++) await anonymous.send({ topic, value: `unsigned-${n}` })
    })()
    const rotations = (async () => {
      const steps = Math.max(credentialRotations, certificateRotations, 1)
      let certificates = 0
      for (let step = 1; step <= credentialRotations || certificates < certificateRotations; step++) {
        scene.rotateCredential()
        if (step * certificateRotations >= (certificates + 1) * steps) {
          certificates++
          await scene.rotateCertificates()
        }
        // Every connection has renewed its session by then.
        await wait(sessionMs)
      }
    })()
    await Promise.all([sendAll, rotations])
    // What is on the way may still come; what never comes is lost.
    const complete = (): boolean => positions.size >= messages && refused.unsigned.size >= unsignedSent
    for (let patience = 0; patience < 60 && !complete(); patience++) await wait(500)
    await Promise.all([receiving.close(), reading.close(), sending.close(), anonymous.close()])
    client.close()
    const ids = Array.from({ length: messages }, (_, n) => `m${n}`)
    return {
      sent: messages,
      credentials: scene.credentials(),
      certificateRotations,
      redelivered,
      repetitionsRefused: refused.repeated,
      lost: ids.filter((id) => !positions.has(id)).length,
      twice: [...positions.values()].filter((seen) => seen.size > 1).length,
      unauthenticated,
      unsignedSent,
      unsignedRefused: refused.unsigned.size,
      seconds: Math.round((performance.now() - startedAt) / 1000),
    }
  } finally {
    await scene.close()
  }
}

/** As a table: a short one by the preferred library, or a long one by each. */
export async function run({ quick }: RunOptions): Promise<Table> {
  const size = quick
    ? { messages: 1_000, credentialRotations: 2, certificateRotations: 1 }
    : { messages: 100_000, credentialRotations: 20, certificateRotations: 3 }
  const rows: (string | number)[][] = []
  for (const library of quick ? (['platformatic'] as const) : (['platformatic', 'kafkajs'] as const)) {
    const report = await soak({ library, ...size })
    rows.push([library, ...columns.map((column) => report[column])])
  }
  return {
    title: 'Kafka: credentials, certificates and the broker exchanged while messages flow',
    note: 'Sessions of three seconds, acknowledgement by hand, the broker away for some seconds at each exchange of certificates. Redeliveries are those that at-least-once allows; a repetition that was refused is a message that was stored twice, since its confirmation was lost.',
    columns: ['library', ...columns],
    rows,
  }
}

const columns = [
  'sent',
  'credentials',
  'certificateRotations',
  'redelivered',
  'repetitionsRefused',
  'lost',
  'twice',
  'unauthenticated',
  'unsignedSent',
  'unsignedRefused',
  'seconds',
] as const

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const { values } = parseArgs({ options: { long: { type: 'boolean', default: false } } })
  const alive = setInterval(() => undefined, 60_000)
  printTable(await run({ quick: !values.long }))
  clearInterval(alive)
}
