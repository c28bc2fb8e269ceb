import type { Anonymous, Authenticator, Clock, Credential, CredentialSource, Guard, Principal, RequestBinding } from '@portcullis/core'
import type { ClientTlsBundle, ServerTlsBundle } from '@portcullis/tls'
import type { TestIdentity } from './pki.ts'
import type { ScenarioId } from './scenarios/index.ts'
import type { TestIssuer, TokenFacts } from './issuer.ts'
import type { Stage } from './stage.ts'

/**
 * What the kit needs to drive an adapter: how to open its listener and how to be a peer of it. Scenarios speak of
 * facts ("expired", "bound to another channel"); the harness says them in the words of its protocol.
 *
 * A harness is small: what throws counts as a closed connection, so it needs no error handling of its own, and the
 * kit closes what it opened.
 */
export interface Harness {
  /** Opens the adapter's listener on a free loopback port; for a broker, starts its consumer. */
  listen(setup: ListenerSetup): Promise<Listening>
  /** What this wire cannot tell apart, such as `{ challenged: 'closed' }` where a protocol has no words for a challenge. The audit event is compared all the same. */
  readonly wording?: Partial<Record<Outcome, Outcome>>
  /** What the wire excludes. Each is tried and must be refused; a list that grows is a datasheet that everybody can read. */
  readonly unsupported?: Partial<Record<ScenarioId, Unsupported>>
  /**
   * Judges what {@link PeerSetup.carriers} become on this wire; default: access tokens of the test issuer, by `jwt()`.
   * For adapters whose credential is another, such as a signed message.
   */
  mechanism?(setup: MechanismSetup): Authenticator
}

/** What a listener is opened with. */
export interface ListenerSetup {
  /** The guard of the listener's own level: what no operation's guard covers. */
  readonly guard: Guard
  /** What the listener offers. Register each as the protocol's own thing (a route, a method, a field, a topic) under its own guard; nothing else exists. */
  readonly operations: readonly Operation[]
  /** Key pair of the server, trust for client certificates, and whether these are asked for. The kit swaps its content while the listener serves. */
  readonly tls: ServerTlsBundle
  /** The clock that the kit moves; the guard has it already. */
  readonly clock: Clock
  /** What the handlers do. */
  readonly application: Application
}

/** One thing that a listener offers. */
export interface Operation {
  /** Letters only, such as `read`: usable as a path, a method, a field or a topic. */
  readonly name: string
  /** What covers it: the listener's own guard, or one derived from it. */
  readonly guard: Guard
}

/** The application behind the listener. */
export interface Application {
  /** The text to answer a call with. */
  answer(operation: string, principal: Principal | Anonymous): string
  /** Registers a live connection. Whatever is published reaches `push`; stop calling it by what is returned, when the connection ends. */
  subscribe(operation: string, principal: Principal | Anonymous, push: (text: string) => void): () => void
}

/** What {@link Harness.mechanism} may build on. */
export interface MechanismSetup {
  readonly issuer: TestIssuer
  /** Where the keys are to be read: from the issuer's document, or from this address, at which nobody answers. */
  readonly keys: 'document' | { readonly unreachable: string }
}

/** A listener that runs. */
export interface Listening {
  /** Where it listens, such as `https://localhost:41234`: the origin of the client's credential source. */
  readonly origin: string
  /** A bare peer, written in the harness without the adapter's client, since it must be able to misbehave. Opens nothing yet. */
  peer(setup: PeerSetup): Peer
  /** The adapter's own client, connected or not yet. What it throws counts as `clientRefused`. */
  client(setup: ClientSetup): Peer | Promise<Peer>
  /** What a proof for this call must cover, where the protocol can carry one (RFC 9449 section 4.2). */
  binding?(operation: string): RequestBinding
  /** Ends the listener. The peers were closed before. */
  close(): Promise<void>
}

/** How a bare peer comes. */
export interface PeerSetup {
  /** What it presents, all of them, each in the place that it names. Empty: nothing at all. */
  readonly carriers: readonly Carrier[]
  /** Its certificate and key. */
  readonly identity: TestIdentity | undefined
  /** Certificates of the authorities that it trusts, PEM. */
  readonly trust: string
  /** The name that it asks for and checks. */
  readonly serverName: string
  /** It speaks without TLS to a port that has TLS. */
  readonly plaintext: boolean
}

/** Something that a peer presents. */
export interface Carrier {
  /** As the value of an `Authorization` field, or of what the protocol has in its place; sent as it is, sound or not. */
  readonly text: string
  /** The same as credential, for protocols with other words; absent where `text` is none. */
  readonly credential: Credential | undefined
  /** All that it was minted from, for protocols that mint their own: `issuer.token(facts)` gives another of the same. */
  readonly facts: TokenFacts | undefined
  /** `first`: the protocol's usual place. `second`: another place that it has (a cookie, a sub-protocol, a named header). `same`: a second time in the usual place. */
  readonly place: 'first' | 'second' | 'same'
  /** A proof of possession that goes along (RFC 9449 section 4.1). */
  readonly proof: string | undefined
}

/** How the adapter's own client comes. */
export interface ClientSetup {
  /** What feeds it. */
  readonly source: CredentialSource
  /** Trust, and its own key pair if it has one. */
  readonly tls: ClientTlsBundle
  readonly serverName: string
  /** Where to connect instead of the listener: a plaintext port, which it must refuse to speak to. */
  readonly plaintextPort: number | undefined
  readonly clock: Clock
}

/** The far end, bare or the adapter's client. It connects when first used and keeps its connection where the protocol does. */
export interface Peer {
  /** Calls an operation; a name that was not registered is called as well. What throws counts as `closed` (peer) or `clientRefused` (client). */
  call(operation: string): Promise<Observed>
  /** Opens a live connection or stream. Throws if it is refused. */
  live?(operation: string): Promise<Live>
  /** Gives up what it holds. Called once, at the end. */
  close?(): void | Promise<void>
}

/** A live connection, from the far end. */
export interface Live {
  /** The texts that arrived, in order; grows. */
  readonly received: readonly string[]
  /** Resolves when the connection or stream is over, in whatever way. */
  readonly ended: Promise<Ended>
  /** Presents another credential in band. Absent where the protocol cannot. */
  readonly reauthenticate?: (carriers: readonly Carrier[]) => Promise<Observed>
}

/** How a live connection ended. */
export interface Ended {
  /** Close code, status, last line: whatever the peer was told, as text. Empty if it was told nothing. */
  readonly wire: string
}

/**
 * What a peer saw.
 *
 * - `allowed`: answered by the application.
 * - `challenged`: told to present something, something else, or something better.
 * - `forbidden`: known, and may not. `unavailable`: nobody can tell at the moment.
 * - `closed`: no answer; the handshake was refused or the connection ended.
 * - `clientRefused`: the adapter's own client refused to go on.
 */
export type Outcome = 'allowed' | 'challenged' | 'forbidden' | 'unavailable' | 'closed' | 'clientRefused'

/** The outcome of one call. */
export interface Observed {
  readonly outcome: Outcome
  /** What the application answered, if it did. */
  readonly answer?: string
  /** The challenges, each as the wire had it: `Bearer error="invalid_token"`. */
  readonly challenges?: readonly string[]
  /** All that came back, as text (status, fields, body); it is searched for secrets. */
  readonly wire: string
}

/** A scenario that the wire excludes. */
export interface Unsupported {
  /** Why, by the protocol's specification and section. */
  readonly because: string
  /** What is seen when it is tried. */
  readonly observed: Exclude<Outcome, 'allowed'>
  /** How it is tried, where the scenario's own steps cannot be taken. */
  readonly attempt?: (stage: Stage) => Promise<Observed>
}
