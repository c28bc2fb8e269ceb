import { setTimeout as wait } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import type { AuditSubscriber, Guard, Principal } from '@portcullis/core'
import { printTable, type RunOptions, type Table } from './table.ts'

/** A broker that demands credentials and certificates, and what they can be exchanged for while messages flow. */
export interface SoakScene {
  /** How many credentials were presented so far. */
  readonly credentials: () => number
  /** A new credential, in use on every connection by the time that this resolves. */
  readonly rotateCredential: () => Promise<void>
  readonly rotateCertificates: () => Promise<void>
  /** Consumes, each message judged; `position` is empty where the broker has none. */
  consume(guard: Guard<Principal>, handle: (text: string, subject: string, position: string, redelivered: boolean) => void): Promise<void>
  /** Calls `heard` with the text of every dead letter. */
  deadLetters(heard: (text: string) => void): Promise<void>
  guard(audit: AuditSubscriber): Guard<Principal>
  /** Resolves when the broker has confirmed it. */
  send(text: string): Promise<void>
  sendUnsigned(text: string): Promise<void>
  close(): Promise<void>
}

/** How long a soak is. */
export interface SoakLength {
  readonly messages: number
  readonly credentialRotations: number
  readonly certificateRotations: number
}

/** As long as a test may take, and as long as it must be to believe it. */
export const lengths = {
  short: { messages: 1_000, credentialRotations: 3, certificateRotations: 1 },
  long: { messages: 100_000, credentialRotations: 20, certificateRotations: 3 },
} as const satisfies Record<string, SoakLength>

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

/** What became of the messages: confirmed and never handled, handled at two positions, handled for nobody proven, and so on. */
export type SoakReport = Readonly<Record<(typeof columns)[number], number>>

// So many are on the way at once.
const atOnce = 50

/** Sends and consumes while credentials and certificates are exchanged, and counts what became of every message. */
export async function soak(open: () => Promise<SoakScene>, length: SoakLength): Promise<SoakReport> {
  const scene = await open()
  try {
    return await count(scene, length)
  } finally {
    await scene.close()
  }
}

async function count(scene: SoakScene, { messages, credentialRotations, certificateRotations }: SoakLength): Promise<SoakReport> {
  const startedAt = performance.now()
  const seen = new Map<string, Set<string>>()
  const unsigned = new Set<string>()
  let [redelivered, repetitionsRefused, twice, unauthenticated] = [0, 0, 0, 0]
  const guard = scene.guard((event) => {
    if (event.type === 'messageRefused' && event.code === 'ERR_MESSAGE_REPLAYED') repetitionsRefused++
  })
  await scene.consume(guard, (text, subject, position, again) => {
    if (subject !== 'urn:shop' || text.startsWith('unsigned')) unauthenticated++
    const positions = seen.get(text)
    if (positions === undefined) return void seen.set(text, new Set([position]))
    // The broker says so itself, or it is the same place: what at-least-once allows. Anything else must not be.
    if (again || (position !== '' && positions.has(position))) redelivered++
    else twice++
    positions.add(position)
  })
  await scene.deadLetters((text) => void (text.startsWith('unsigned') && unsigned.add(text)))

  const rotated = new AbortController()
  let sent = 0
  const unsignedSent = Math.ceil(messages / 1_000)
  const sendAll = async (): Promise<void> => {
    const lane = async (): Promise<void> => {
      while (sent < messages) await scene.send(`m${sent++}`)
    }
    await Promise.all(Array.from({ length: atOnce }, lane))
    for (let at = 0; at < unsignedSent; at++) await scene.sendUnsigned(`unsigned-${at}`)
    // The rotations go on under messages to the end.
    while (!rotated.signal.aborted) {
      await scene.send(`m${sent++}`)
      await wait(5)
    }
  }
  await Promise.all([sendAll(), rotateAll(scene, credentialRotations, certificateRotations).then(() => rotated.abort())])
  // What is on the way may still come; what never comes is lost.
  for (let patience = 0; patience < 60 && (seen.size < sent || unsigned.size < unsignedSent); patience++) await wait(500)
  let lost = 0
  for (let at = 0; at < sent; at++) if (!seen.has(`m${at}`)) lost++
  return {
    sent,
    credentials: scene.credentials(),
    certificateRotations,
    redelivered,
    repetitionsRefused,
    lost,
    twice,
    unauthenticated,
    unsignedSent,
    unsignedRefused: unsigned.size,
    seconds: Math.round((performance.now() - startedAt) / 1_000),
  }
}

/** Exchanges credentials one after the other, and certificates as often as is asked for, evenly among them. */
export async function rotateAll(
  scene: Pick<SoakScene, 'rotateCredential' | 'rotateCertificates'>,
  credentialRotations: number,
  certificateRotations: number,
): Promise<void> {
  const steps = Math.max(credentialRotations, certificateRotations)
  for (let step = 0, certificates = 0; step < steps; step++) {
    await scene.rotateCredential()
    if (Math.floor(((step + 1) * certificateRotations) / steps) === certificates) continue
    certificates++
    await scene.rotateCertificates()
  }
}

/** Soaks of one broker, short or long, as a table. */
export async function soakTable(
  broker: string,
  scenes: Readonly<Record<string, () => Promise<SoakScene>>>,
  { quick }: RunOptions,
): Promise<Table> {
  const rows: (string | number)[][] = []
  for (const [library, open] of Object.entries(scenes)) {
    const report = await soak(open, quick ? lengths.short : lengths.long)
    rows.push([library, ...columns.map((column) => report[column])])
  }
  return {
    title: `${broker}: credentials and certificates exchanged while messages flow`,
    note: 'Confirmed sending, acknowledgement by hand. Redeliveries are those that at-least-once allows; a repetition that was refused is a message that was stored twice, since its confirmation was lost. `lost`, `twice` and `unauthenticated` must be zero.',
    columns: ['library', ...columns],
    rows,
  }
}

/** Runs one soak by itself, short unless `--long` is said, and prints its table. */
export async function alone(run: (options: RunOptions) => Promise<Table>): Promise<void> {
  const { values } = parseArgs({ options: { long: { type: 'boolean', default: false } } })
  const alive = setInterval(() => undefined, 60_000)
  printTable(await run({ quick: !values.long }))
  clearInterval(alive)
}
