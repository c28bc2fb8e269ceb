import { setTimeout as wait } from 'node:timers/promises'
import { guard, publisher, scope, subscriber, type NatsClient } from '@portcullis/nats'
import { withoutIdentity } from '@portcullis/nats/danger'
import { alone, rotateAll } from '../broker-soak.ts'
import type { RunOptions, Table } from '../table.ts'
import { natsScene } from './scene.ts'

/** How long a soak of core NATS is. Messages are published all the while, at a steady rate. */
export interface CoreSoakLength {
  readonly perSecond: number
  readonly credentialRotations: number
  readonly certificateRotations: number
  readonly restarts: number
}

/** As long as a test may take, and as long as it must be to believe it. */
export const lengths = {
  short: { perSecond: 500, credentialRotations: 3, certificateRotations: 1, restarts: 1 },
  long: { perSecond: 1_000, credentialRotations: 20, certificateRotations: 3, restarts: 3 },
} as const satisfies Record<string, CoreSoakLength>

const columns = [
  'published',
  'received',
  'dropped',
  'droppedOutside',
  'toldPublisher',
  'reconnections',
  'awayMs',
  'credentials',
  'restarts',
  'twice',
  'unauthenticated',
  'unsignedSent',
  'unsignedRefused',
  'seconds',
] as const

/**
 * What became of the messages: `published` are those that the server has confirmed to have read; `dropped` those of them
 * that no subscriber heard of, `droppedOutside` those that were not on the way while the subscriber was away; with
 * `toldPublisher` it was the publisher who heard that its connection was lost.
 */
export type CoreSoakReport = Readonly<Record<(typeof columns)[number], number>>

const lifeMs = 3_000
const tickMs = 10
// What the server hands on in this time before the loss of a connection is noticed, and after it is back, may be lost with it.
const marginMs = 250
const unsignedSent = 10

/** Publishes and subscribes by core NATS while credentials, certificates and the server are exchanged, and counts. */
export async function coreSoak(length: CoreSoakLength): Promise<CoreSoakReport> {
  const { perSecond, credentialRotations, certificateRotations, restarts } = length
  const scene = await natsScene({ lifeMs })
  const startedAt = performance.now()
  const away = new Absences()
  const handled = new Map<string, number>()
  const unsigned = new Set<string>()
  let unauthenticated = 0
  try {
    const receiving = await subscriber(
      {
        client: away.watching(scene.nats),
        subject: 'orders',
        guard: guard({ authenticate: scene.signatures(), authorize: scope('orders:publish') }),
        deadLetter: 'dead',
      },
      ({ content }, { subject }) => {
        const text = content.toString()
        if (subject !== 'urn:shop' || text.startsWith('unsigned')) unauthenticated++
        handled.set(text, (handled.get(text) ?? 0) + 1)
      },
    )
    const letters = await scene.nats.open()
    letters.subscribe('dead', { callback: (_error, letter) => void unsigned.add(letter.string()) })
    await letters.flush()
    const sending = await publisher({ client: scene.nats, identity: scene.identity })
    const anonymous = await publisher({ client: scene.nats, identity: withoutIdentity })

    const published = new Map<string, readonly [from: number, to: number]>()
    let [next, toldPublisher] = [0, 0]
    const publish = async (text: string): Promise<void> => {
      const from = performance.now()
      try {
        await sending.publish({ subject: 'orders', content: text })
        published.set(text, [from, performance.now()])
      } catch {
        toldPublisher++
      }
    }
    const underWay = new Set<Promise<void>>()
    const rotated = new AbortController()
    const publishAll = async (): Promise<void> => {
      const begun = performance.now()
      while (!rotated.signal.aborted) {
        for (const due = ((performance.now() - begun) * perSecond) / 1_000; next < due;) {
          const one = publish(`m${next++}`)
          underWay.add(one)
          void one.then(() => underWay.delete(one))
        }
        await wait(tickMs)
      }
      await Promise.all(underWay)
    }
    const rotate = async (): Promise<void> => {
      await rotateAll(scene, credentialRotations, certificateRotations)
      for (let restart = 0; restart < restarts; restart++) {
        await scene.restart()
        await wait(lifeMs)
      }
      rotated.abort()
    }
    await Promise.all([publishAll(), rotate()])
    // Nothing is exchanged any more, but a password that is renewed: these are told apart when they are there.
    for (let at = 0; at < unsignedSent; at++) await anonymous.publish({ subject: 'orders', content: `unsigned-${at}` })
    await wait(2_000)
    await Promise.all([receiving.close(), sending.close(), anonymous.close(), letters.close()])
    const dropped = [...published].filter(([text]) => !handled.has(text))
    return {
      published: published.size,
      received: published.size - dropped.length,
      dropped: dropped.length,
      droppedOutside: dropped.filter(([, [from, to]]) => !away.meets(from - marginMs, to + marginMs)).length,
      toldPublisher,
      reconnections: away.count,
      awayMs: away.totalMs,
      credentials: scene.credentials(),
      restarts,
      twice: [...handled.values()].filter((times) => times > 1).length,
      unauthenticated,
      unsignedSent,
      unsignedRefused: unsigned.size,
      seconds: Math.round((performance.now() - startedAt) / 1_000),
    }
  } finally {
    await scene.close()
  }
}

/** When a client had no connection. */
class Absences {
  readonly #all: { readonly from: number; to: number }[] = []

  /** The same client, whose connections are watched. */
  watching(client: NatsClient): NatsClient {
    const begin = (): void => {
      if (this.#all.at(-1)?.to !== Number.POSITIVE_INFINITY) this.#all.push({ from: performance.now(), to: Number.POSITIVE_INFINITY })
    }
    const end = (): void => {
      const last = this.#all.at(-1)
      if (last?.to === Number.POSITIVE_INFINITY) last.to = performance.now()
    }
    return {
      ...client,
      async open() {
        const connection = await client.open()
        end()
        void (async () => {
          for await (const { type } of connection.status()) {
            if (type === 'disconnect') begin()
            if (type === 'reconnect') end()
          }
          begin()
        })()
        return connection
      },
    }
  }

  get count(): number {
    return this.#over.length
  }

  get totalMs(): number {
    return Math.round(this.#over.reduce((sum, { from, to }) => sum + to - from, 0))
  }

  meets(from: number, to: number): boolean {
    return this.#all.some((one) => one.from <= to && one.to >= from)
  }

  /** All but the last one, which its end began. */
  get #over(): readonly { readonly from: number; readonly to: number }[] {
    return this.#all.filter(({ to }) => to !== Number.POSITIVE_INFINITY)
  }
}

/** Half a minute, or two. */
export async function run({ quick }: RunOptions): Promise<Table> {
  const report = await coreSoak(quick ? lengths.short : lengths.long)
  return {
    title: 'Core NATS: what a reconnection drops',
    note: `At most once: ${quick ? lengths.short.perSecond : lengths.long.perSecond} messages a second, while one subscriber reconnects for each new password and certificate, and the server is restarted. "Published" are those that the server has confirmed to have read, "dropped" those of them that nobody heard of. \`droppedOutside\`, \`twice\` and \`unauthenticated\` must be zero.`,
    columns,
    rows: [columns.map((column) => report[column])],
  }
}

if (import.meta.main) await alone(run)
