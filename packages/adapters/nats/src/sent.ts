import { setImmediate as turn } from 'node:timers/promises'
import type { NatsConnection } from '@nats-io/transport-node'
import { codedAs, diagnose } from './diagnose.ts'

interface Pending {
  readonly subject: string
  readonly reject: (error: Error) => void
}

const pendingOn = new WeakMap<NatsConnection, Set<Pending>>()

/**
 * Publishes, and resolves when the server has read it. The library tells what was not permitted, or lost with a
 * connection, by its status only.
 */
export async function sent(connection: NatsConnection, subject: string, publish: () => void): Promise<void> {
  const failure = Promise.withResolvers<never>()
  failure.promise.catch(() => undefined)
  const pending = { subject, reject: failure.reject }
  const all = watched(connection)
  all.add(pending)
  try {
    publish()
    await Promise.race([connection.flush(), failure.promise])
    // The refusal of the server came before its answer, and is told a little later.
    await Promise.race([turn(), failure.promise])
  } catch (error) {
    throw diagnose(error)
  } finally {
    all.delete(pending)
  }
}

function watched(connection: NatsConnection): Set<Pending> {
  let all = pendingOn.get(connection)
  if (all === undefined) {
    pendingOn.set(connection, (all = new Set()))
    void watch(connection, all)
  }
  return all
}

async function watch(connection: NatsConnection, all: ReadonlySet<Pending>): Promise<void> {
  for await (const status of connection.status())
    for (const { subject, reject } of all) {
      if (status.type === 'disconnect') reject(codedAs('ERR_NATS_UNAVAILABLE', undefined))
      if (status.type === 'error' && (status.error as { readonly subject?: unknown }).subject === subject) reject(diagnose(status.error))
    }
}
