import { setTimeout as wait } from 'node:timers/promises'
import type { AuditSubscriber, Guard, Principal } from '@portcullis/core'
import type { RunOptions, Table } from './table.ts'

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
type Report = Readonly<Record<(typeof columns)[number], number>>

// So many are on the way at once.
const atOnce = 50

/** Sends and consumes while credentials and certificates are exchanged, and counts what became of every message. */
async function soak(scene: SoakScene, messages: number, credentialRotations: number, certificateRotations: number): Promise<Report> {
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
  const rotateAll = async (): Promise<void> => {
    const steps = Math.max(credentialRotations, certificateRotations)
    for (let step = 0, certificates = 0; step < steps; step++) {
      await scene.rotateCredential()
      if (Math.floor(((step + 1) * certificateRotations) / steps) === certificates) continue
      certificates++
      await scene.rotateCertificates()
    }
    rotated.abort()
  }
  await Promise.all([sendAll(), rotateAll()])
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

/** Runs a soak, short or long, as a table. */
export async function soakTable(broker: string, open: () => Promise<SoakScene>, { quick }: RunOptions): Promise<Table> {
  const scene = await open()
  try {
    const report = quick ? await soak(scene, 1_000, 3, 1) : await soak(scene, 100_000, 20, 3)
    return {
      title: `${broker}: credentials and certificates exchanged while messages flow`,
      note: 'Confirmed sending, acknowledgement by hand. Redeliveries are those that at-least-once allows; a repetition that was refused is a message that was stored twice, since its confirmation was lost. `lost`, `twice` and `unauthenticated` must be zero.',
      columns,
      rows: [columns.map((column) => report[column])],
    }
  } finally {
    await scene.close()
  }
}
