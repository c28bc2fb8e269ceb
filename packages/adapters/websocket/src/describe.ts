import type { IncomingMessage } from 'node:http'
import { parseAuthorization, type AccessRequest, type Credential, type PeerChannel } from '@portcullis/core'
import type { UpgradeRequest } from '@portcullis/http'
import { sessionField, sessionProtocol } from './session-frame.ts'

/** What a client offers in `Sec-WebSocket-Protocol`, sorted. */
export interface Offered {
  /** Of the application: one of these may be selected, and nothing else (RFC 6455 section 4.2.2). */
  readonly protocols: readonly string[]
  /** Entries that carry a credential. They are judged, and never sent back. */
  readonly credentials: readonly Credential[]
  /** Whether session frames are asked for, and how. */
  readonly session: 'field' | 'protocol' | undefined
}

// A browser can set no field, but any entry that is a token (RFC 9110 section 5.6.2).
const credentialPrefix = 'bearer.'

/** Sorts what a handshake offers. */
export function offeredBy({ headers }: IncomingMessage): Offered {
  const text = headers['sec-websocket-protocol']
  const field = headers[sessionField] === '1'
  if (text === undefined) return field ? fieldOnly : nothing
  const entries = text.split(',').map((entry) => entry.trim())
  return {
    protocols: entries.filter((entry) => entry !== sessionProtocol && !entry.startsWith(credentialPrefix)),
    credentials: entries.filter((entry) => entry.startsWith(credentialPrefix)).map(credentialOfEntry),
    session: field ? 'field' : entries.includes(sessionProtocol) ? 'protocol' : undefined,
  }
}

const nothing: Offered = Object.freeze({ protocols: Object.freeze([]), credentials: Object.freeze([]), session: undefined })
const fieldOnly: Offered = Object.freeze({ ...nothing, session: 'field' })

function credentialOfEntry(entry: string): Credential {
  return { ...parseAuthorization(`Bearer ${entry.slice(credentialPrefix.length)}`), carrier: 'sec-websocket-protocol' }
}

/**
 * The upgrade, for the guard: an HTTP GET whose resource is the endpoint's path. Credentials stand in `Authorization`, in
 * what the HTTP listener names as carriers, and in sub-protocols; a query is never looked at.
 */
export function describe(upgrade: UpgradeRequest, path: string, offered: Offered): AccessRequest {
  const { credentials, action, resource, attributes, binding } = upgrade.describe(path, noAttributes)
  return {
    credentials: offered.credentials.length === 0 ? credentials : [...credentials, ...offered.credentials],
    action,
    resource,
    attributes,
    channel: { ...upgrade.channel, protocol: 'wss' } satisfies PeerChannel,
    ...(binding && { binding }),
  }
}

const noAttributes = Object.freeze({})

/** What of it is kept for as long as the connection is open: all but what a proof was matched with. */
export function standing({ credentials, action, resource, attributes, channel }: AccessRequest): AccessRequest {
  return { credentials, action, resource, attributes, channel }
}

/**
 * The same once more, with a credential out of a frame in place of its like, so that the other factors of the upgrade (a
 * certificate, a key) are judged again with it. A frame has no method and address, so there is no binding, and a proof of
 * possession (RFC 9449) neither comes in one nor is kept from the upgrade.
 */
export function describeAgain({ credentials, action, resource, attributes, channel }: AccessRequest, authorization: string): AccessRequest {
  const parsed = parseAuthorization(authorization)
  // One of each kind can have come in a frame before.
  const fresh: Credential = { ...parsed, carrier: `session-frame:${parsed.kind}` }
  const kept = credentials.filter(({ kind }) => kind !== fresh.kind && kind !== 'dpop')
  return { credentials: [...kept, fresh], action, resource, attributes, channel }
}

/** Whether a cookie is among the credentials: then a browser may have added it for a page of anybody's. */
export function bringsCookie({ credentials }: AccessRequest): boolean {
  return credentials.some(({ carrier }) => carrier.startsWith('cookie:'))
}

/** The origins of the page that asks; empty for clients that are no browsers. Version 8 has a name of its own for it. */
export function originsOf({ headers }: IncomingMessage): readonly string[] {
  return [headers.origin, headers['sec-websocket-origin']].filter((value) => typeof value === 'string')
}
