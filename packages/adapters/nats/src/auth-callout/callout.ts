import {
  checkOptions,
  ConfigurationError,
  requireFunction,
  requireGuard,
  requireNumber,
  requireText,
  requireTexts,
  secret,
  type Guard,
  type Principal,
  type Secret,
} from '@portcullis/core'
import { encodeAuthorizationResponse, encodeUser, type Permission } from '@nats-io/jwt'
import { fromCurveSeed, fromSeed, type KeyPair } from '@nats-io/nkeys'
import type { Msg, NatsConnection } from '@nats-io/transport-node'
import type { NatsClient } from '../client.ts'
import { endOf } from '../connection.ts'
import { codedAs, diagnose } from '../diagnose.ts'
import { natsErrorCodes, type NatsErrorCode } from '../errors.ts'
import { lifetime } from '../lifetime.ts'
import { describeConnection, readRequest, type ProvenRequest } from './request.ts'

/** What a principal may do on the server. An empty list allows nothing. */
export interface Admission {
  /** The account that it enters. */
  readonly account: string
  /** The subjects that it may publish to; wildcards are allowed, so a name goes into one by `subjectToken` of `@portcullis/nats`. */
  readonly publish: readonly string[]
  /** The subjects that it may subscribe to; who asks requests needs its inbox, `_INBOX.>` if it names no other. */
  readonly subscribe: readonly string[]
}

/** What {@link authCallout} takes. */
export interface AuthCalloutOptions<P extends Principal = Principal> {
  /** Connects as one of the server's `auth_users`. */
  readonly client: NatsClient
  /** Judges name and password, or the token. */
  readonly guard: Guard<P>
  /** What a principal may do, once the guard allows it. If it throws, the principal is not let in. */
  readonly admit: (principal: P) => Admission
  /** The seed (`SA…`) of the account key that the server's `issuer` names. */
  readonly issuer: string | Secret
  /** The seed (`SX…`) of the curve key that the server's `xkey` names: passwords are in these requests. */
  readonly xkey: string | Secret
  /** The public keys (`N…`) of the servers that may ask. Default: any that can publish in this account. */
  readonly servers?: readonly [string, ...string[]]
  /** The longest that a connection lives before the server asks again, in milliseconds; a principal that ends sooner ends it sooner. Default: 900,000, since a revocation reaches a connection no earlier than that. */
  readonly maxLifetimeMs?: number
}

/** A service that answers a server. */
export interface AuthCallout {
  /** Resolves after {@link AuthCallout.close}; rejects when the server refuses this service itself. It lives through outages. */
  readonly ended: Promise<void>
  close(): Promise<void>
  [Symbol.asyncDispose](): Promise<void>
}

// As many as a server asks at once after a restart; beyond them it hears nothing, and its clients come again.
const maxInFlight = 1_000
const subject = '$SYS.REQ.USER.AUTH'
const errors = {
  challenge: 'The credentials were not accepted.',
  forbid: 'This is not permitted.',
  unavailable: 'The request cannot be judged at the moment.',
} as const

/**
 * Answers a server's auth callout with a guard: each connection that presents a name and password or a token is judged,
 * and whoever is allowed gets the rights that `admit` says, until the principal ends. Whoever is refused hears the
 * server's `Authorization Violation`. So does whoever cannot be judged at the moment: NATS has one word for both, and only
 * the audit trail and the server's log tell them apart.
 *
 * Requests must be sealed with `xkey`, signed by the server that sealed them, and of now. Not judged: NKeys, user JWTs
 * and client certificates, which the server checks itself. A revocation ends no connection before its `maxLifetimeMs`.
 */
export async function authCallout<P extends Principal>(options: AuthCalloutOptions<P>): Promise<AuthCallout> {
  checkOptions<AuthCalloutOptions<P>>('authCallout', options, {
    client: true,
    guard: true,
    admit: true,
    issuer: true,
    xkey: true,
    servers: true,
    maxLifetimeMs: true,
  })
  const { client, maxLifetimeMs = 900_000 } = options
  const guard = requireGuard('authCallout', options.guard)
  const admit = requireFunction('authCallout: admit', options.admit)
  requireNumber('authCallout: maxLifetimeMs', maxLifetimeMs, { min: 1_000, max: 86_400_000 })
  const servers = options.servers === undefined ? undefined : new Set(requireTexts('authCallout: servers', options.servers))
  const issuer = keyOf('issuer', options.issuer, 'A', fromSeed)
  const xkey = keyOf('xkey', options.xkey, 'X', fromCurveSeed)
  let connection: NatsConnection | undefined
  let underWay = 0

  const answer = async (native: Msg): Promise<void> => {
    const now = guard.clock.now()
    const request = readRequest(native.data, native.headers?.get('Nats-Server-Xkey'), xkey, servers, now)
    if (typeof request === 'string') return warn('ERR_NATS_CALLOUT', `A request for authorization was not answered: ${request}.`)
    const decision = await guard.decide(describeConnection(request.asked))
    // The server shows the text in its log; the client hears `Authorization Violation` whatever it says.
    const data = decision.outcome === 'allow' ? await admitted(request, decision.principal, now) : { error: errors[decision.outcome] }
    const response = await encodeAuthorizationResponse(request.userKey, request.serverKey, issuer, data, {})
    native.respond(xkey.seal(Buffer.from(response), request.serverXkey))
  }
  const admitted = async (request: ProvenRequest, principal: P, now: number): Promise<{ jwt: string } | { error: string }> => {
    try {
      return { jwt: await userJwt(request, principal, now) }
    } catch (error) {
      warn('ERR_NATS_CALLOUT', `It was not said what "${principal.subject}" may do.`, error)
      return { error: errors.forbid }
    }
  }
  const userJwt = async ({ userKey }: ProvenRequest, principal: P, now: number): Promise<string> => {
    const { account, publish, subscribe } = admit(principal)
    const until = Math.min(principal.expiresAt?.getTime() ?? Number.POSITIVE_INFINITY, now + maxLifetimeMs)
    const rights = { pub: permissionOf(publish), sub: permissionOf(subscribe) }
    return encodeUser(principal.subject, userKey, issuer, rights, {
      aud: requireText('admit: account', account),
      exp: Math.floor(until / 1_000),
    })
  }
  const bounded = async (native: Msg): Promise<void> => {
    underWay++
    try {
      await answer(native)
    } catch (error) {
      warn('ERR_NATS_CALLOUT', natsErrorCodes.ERR_NATS_CALLOUT, error)
    } finally {
      underWay--
    }
  }
  const open = async (): Promise<void> => {
    const own = await client.open()
    const failed = Promise.withResolvers<never>()
    failed.promise.catch(() => undefined)
    const over = (why: unknown): void => {
      if (connection !== own) return
      connection = undefined
      void own.close().catch(() => undefined)
      lost(why)
    }
    own.subscribe(subject, {
      callback: (error, native) => {
        if (error !== null) {
          failed.reject(error)
          return over(error)
        }
        if (underWay >= maxInFlight) return warn('ERR_NATS_CALLOUT', 'Too many requests for authorization at once; one was not answered.')
        void bounded(native)
      },
    })
    try {
      await Promise.race([own.flush(), failed.promise])
    } catch (error) {
      await own.close().catch(() => undefined)
      throw diagnose(error)
    }
    connection = own
    void endOf(own).then((error) => over(error ?? codedAs('ERR_NATS_UNAVAILABLE', undefined)))
  }
  const release = async (): Promise<void> => {
    const last = connection
    connection = undefined
    // Answers that are on their way go out first.
    await last?.drain().catch(() => undefined)
  }
  const life = lifetime('The auth callout', guard, { open, release })
  const warn: (code: NatsErrorCode, message: string, cause?: unknown) => void = life.warn
  const { lost } = life
  return await life.start()
}

/** The server takes an empty list of what is allowed for "everything". */
function permissionOf(subjects: readonly string[]): Partial<Permission> {
  return subjects.length === 0 ? { deny: ['>'] } : { allow: [...requireTexts('admit: subjects', subjects)] }
}

function keyOf(name: string, seed: string | Secret, prefix: 'A' | 'X', read: (seed: Uint8Array) => KeyPair): KeyPair {
  try {
    const pair = read(Buffer.from(secret(seed).reveal().trim()))
    if (pair.getPublicKey().startsWith(prefix)) return pair
  } catch {
    // What the library says may hold the seed.
  }
  throw new ConfigurationError('ERR_OPTION_INVALID', `authCallout: ${name} is no seed of the form S${prefix}….`)
}
