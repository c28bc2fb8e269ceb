import { ConfigurationError, requireText } from '@portcullis/core'
import { clientOf, type Abilities, type ClientEntry, type StsClient } from './clients.ts'
import type { StsErrorCode } from './errors.ts'
import type { StsOptions } from './options.ts'
import { TemporarilyUnavailable } from './refusal.ts'

/** Finds clients by their identifier. */
export interface ClientLookUp {
  find(id: string): Promise<ClientEntry | undefined>
  /** Those that are listed. */
  readonly listed: readonly ClientEntry[]
}

/** Checks the clients, at once where they are listed. */
export function clientLookUp(clients: StsOptions['clients'], abilities: Abilities): ClientLookUp {
  if (typeof clients === 'function') return { listed: [], find: (id) => asked(clients, id, abilities) }
  if (!Array.isArray(clients) || clients.length === 0)
    throw new ConfigurationError('ERR_OPTION_MISSING', 'createSts clients: nobody could ask for a token.')
  const entries = new Map<string, ClientEntry>()
  for (const client of clients as readonly StsClient[]) {
    const entry = clientOf(client, abilities)
    if (entries.has(entry.id))
      throw new ConfigurationError<StsErrorCode>('ERR_STS_CLIENT_DUPLICATE', `There are two clients "${entry.id}".`)
    entries.set(entry.id, entry)
  }
  return { listed: [...entries.values()], find: (id) => Promise.resolve(entries.get(id)) }
}

async function asked(find: Extract<StsOptions['clients'], (...args: never[]) => unknown>, id: string, abilities: Abilities) {
  let client: StsClient | undefined
  try {
    client = await find(requireText('A client_id', id))
  } catch (cause) {
    throw new TemporarilyUnavailable(cause)
  }
  if (client === undefined) return undefined
  const entry = clientOf(client, abilities)
  // A look-up that folds case would give one client two names.
  return entry.id === id ? entry : undefined
}
