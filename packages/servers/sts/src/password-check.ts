import { basic, passwordStore, type UserStore } from '@portcullis/auth'
import { guard, isSecret, secret, type Guard, type PeerChannel, type Principal } from '@portcullis/core'
import type { ClientEntry } from './clients.ts'
import { TemporarilyUnavailable } from './refusal.ts'

const guards = new WeakMap<UserStore, Guard<Principal>>()

function guardOf(store: UserStore): Guard<Principal> {
  let made = guards.get(store)
  if (made === undefined) guards.set(store, (made = guard({ name: 'sts', authenticate: basic({ store, realm: 'sts' }) })))
  return made
}

/** Refuses what cannot be a user store. */
export function requireUsers(store: UserStore): void {
  guardOf(store)
}

/**
 * Asks a store, within its bounds, whose name and password these are; `undefined` if nobody's. By the same rules as
 * Basic, so that a name which is refused there is refused here.
 */
export async function userOf(store: UserStore, username: string, password: string, channel: PeerChannel): Promise<Principal | undefined> {
  const decision = await guardOf(store).decide({
    credentials: [{ kind: 'basic', carrier: 'body', username, password: secret(password) }],
    action: 'token',
    resource: store.name,
    attributes: {},
    channel,
  })
  if (decision.outcome === 'allow') return decision.principal
  if (decision.outcome === 'unavailable') throw new TemporarilyUnavailable(decision.cause, decision.retryAfterMs)
  return undefined
}

/** Tells the secrets of clients, by the rules for passwords: slow hashes in bounded numbers, remembered for a minute. */
export class ClientSecrets {
  readonly #hashes = new Map<string, string>()
  readonly #store = passwordStore({
    name: 'clients',
    find: (id) => {
      const hash = this.#hashes.get(id)
      return hash === undefined ? undefined : { username: id, password: hash }
    },
  })

  async proves({ id, proof }: ClientEntry, presented: string, channel: PeerChannel): Promise<boolean> {
    const { secret: known } = proof
    if (known === undefined) return false
    if (isSecret(known)) return known.equals(presented)
    if (!('hash' in known)) return (await userOf(known, id, presented, channel))?.subject === id
    // What the store knows under this name is the hash that the client has now.
    this.#hashes.set(id, known.hash)
    return (await userOf(this.#store, id, presented, channel))?.subject === id
  }
}
