import { isDeepStrictEqual } from 'node:util'

import { scope, type AuditEvent, type CredentialSource, type EndReason, type Guard } from '@portcullis/core'
import { manualClock, type ManualClock } from '@portcullis/core/testing'

import { answerTo, TestApplication } from './application.ts'
import { Carriers } from './carriers.ts'
import { countingSource, type CountingSource } from './counting-source.ts'
import { Evidence } from './evidence.ts'
import { guardsOf } from './guards.ts'
import type { Carrier, Harness, Listening, Live, Observed, Peer } from './harness.ts'
import { testIssuer, type TestIssuer, type TokenFacts } from './issuer.ts'
import { TooLate, until, within } from './patience.ts'
import { serverName, type CertificateName, type ServerName, type TestPki } from './pki.ts'
import { recordingPort } from './recording-port.ts'
import type { Expected, Given, Presented } from './scenario.ts'
import { StageTls } from './stage-tls.ts'

/**
 * One scenario's world: an issuer, a certificate authority, a clock that stands still, a guard, the adapter's listener
 * and its peers. Scenarios act through it, and it fails where something else is observed than must be.
 */
export class Stage {
  readonly clock: ManualClock
  readonly issuer: TestIssuer
  readonly application = new TestApplication()
  readonly evidence = new Evidence()
  readonly #harness: Harness
  readonly #pki: TestPki
  readonly #tls: StageTls
  readonly #carriers: Carriers
  readonly #delivered = new Map<Live, string[]>()
  readonly #byClient = new WeakSet<Peer>()
  readonly #peers: Peer[] = []
  #listening: Listening | undefined
  #read: Guard | undefined

  constructor(harness: Harness, pki: TestPki) {
    this.#harness = harness
    this.#pki = pki
    // The runtime judges certificates by the machine's clock, so this one begins there.
    this.clock = manualClock(Math.floor(Date.now() / 1000) * 1000)
    this.issuer = testIssuer({ clock: this.clock })
    this.#tls = new StageTls(pki, this.clock)
    this.#carriers = new Carriers(this.issuer, pki, this.evidence)
  }

  /** Opens the listener. */
  async open({ policy = 'bearer', server = 'sound', clientCertificates = 'accept' }: Given): Promise<void> {
    const guards = guardsOf(policy, this.issuer, this.#harness, (event) => void this.evidence.events.push(event))
    this.#read = guards.operations.read
    this.#listening = await within(
      'opening the listener',
      this.#harness.listen({
        guard: guards.listener,
        operations: Object.entries(guards.operations).map(([name, guard]) => ({ name, guard })),
        tls: await this.#tls.server(server, clientCertificates),
        clock: this.clock,
        application: this.application,
      }),
    )
  }

  /** Demands another scope for `read` from here on. */
  changePolicy(): void {
    this.#read?.change({ authorize: scope('orders:other') })
  }

  /** Ends everything that the stage has opened. */
  async close(): Promise<void> {
    await within('closing the peers', Promise.all(this.#peers.map(async (peer) => peer.close?.())))
    await within('closing the listener', this.#listening?.close() ?? Promise.resolve())
    await this.#tls.close()
  }

  /** A bare peer. */
  peer(given: Given): Peer {
    return this.#peerWith(
      given,
      (given.presents ?? [{ token: {} }]).map((presented) => this.#carriers.of(presented)),
    )
  }

  /** The adapter's own client, fed by a source of one sound token unless another is given. */
  async client(
    given: Given,
    { source }: Pick<CountingSource, 'source'> = this.source({ refused: {}, next: 'nothing' }),
    plaintextPort?: number,
  ): Promise<Peer> {
    const tls = await this.#tls.client(given.certificate)
    const setup = { source, tls, serverName, plaintextPort, clock: this.clock }
    const connecting = within('connecting', (async () => this.#opened.client(setup))())
    const peer = await connecting.catch((error: unknown): Peer => {
      if (error instanceof TooLate) throw error
      return { call: () => Promise.reject(error) }
    })
    this.#byClient.add(peer)
    this.#peers.push(peer)
    return peer
  }

  /** A source of tokens that counts its refreshes. */
  source(tokens: { readonly refused: TokenFacts; readonly next: TokenFacts | 'nothing' }): CountingSource {
    const next = tokens.next === 'nothing' ? undefined : this.#carriers.bearer(tokens.next)
    return countingSource(this.#opened.origin, this.#carriers.bearer(tokens.refused), next)
  }

  /** A source that mints another token each time that it is asked. */
  freshSource(expiresInSeconds: number): CredentialSource {
    return () => ({
      credential: this.#carriers.bearer({ expiresInSeconds }),
      expiresAt: new Date(this.clock.now() + expiresInSeconds * 1000),
    })
  }

  /** Lets time pass step by step, and gives whoever was warned the time to renew. Fails unless there were this many renewals. */
  async renews(seconds: number, atLeast: number): Promise<void> {
    const count = (type: AuditEvent['type']): number => this.evidence.events.filter((event) => event.type === type).length
    for (let passed = 0; passed < seconds; passed += 5) {
      await this.advance(5)
      await until('A renewal after the warning', () => count('reauthenticated') >= count('sessionWarning') || count('sessionEnded') > 0)
    }
    if (count('reauthenticated') < atLeast)
      throw new Error(`The client renewed ${count('reauthenticated')} times instead of ${atLeast} or more.`)
  }

  /** What comes of a call. What is thrown is an outcome too; what does not come in time is a failure. */
  observe(peer: Peer, operation: string): Promise<Observed> {
    return this.#outcome(`the answer to "${operation}"`, () => peer.call(operation), this.#byClient.has(peer) ? 'clientRefused' : 'closed')
  }

  /** Calls, and fails unless this is observed: on the wire, in the audit trail, and in the application. */
  async expect(peer: Peer, given: Given, expected: Expected): Promise<void> {
    const { operation = 'read' } = given
    const [calls, events] = [this.application.calls, this.evidence.events.length]
    const observed = await this.observe(peer, operation)
    await this.check(observed, given, expected, events)
    if (expected.outcome !== 'allowed' && this.application.calls !== calls) throw new Error('The handler ran for a call that was refused.')
    if (expected.outcome !== 'allowed') return
    const subject = expected.subject === 'certificate' ? this.subjectOf(given.certificate ?? 'alice') : (expected.subject ?? 'alice')
    if (observed.answer !== answerTo(operation, subject))
      throw new Error(`The application was to answer "${answerTo(operation, subject)}"; the peer read ${JSON.stringify(observed.answer)}.`)
  }

  /** Fails unless an observation is as expected; `sinceEvent` is where the audit trail is searched from. */
  async check(observed: Observed, given: Given, { outcome, reason, scheme }: Expected, sinceEvent: number): Promise<void> {
    const fits = outcome === 'refused' ? observed.outcome !== 'allowed' : observed.outcome === (this.#harness.wording?.[outcome] ?? outcome)
    if (!fits)
      throw new Error(
        `Expected ${outcome}, observed ${observed.outcome}; given ${JSON.stringify(given)}; on the wire: ${this.evidence.holdsSecret(observed.wire) ? '(a secret)' : observed.wire.slice(0, 500)}`,
      )
    if (
      scheme !== undefined &&
      observed.challenges?.some((challenge) => challenge.split(' ')[0]?.toLowerCase() === scheme.toLowerCase()) !== true
    ) {
      throw new Error(`Expected a challenge for ${scheme}, observed ${JSON.stringify(observed.challenges ?? [])}.`)
    }
    const found = (event: AuditEvent): boolean => event.type === 'decision' && event.reason === reason
    if (reason !== undefined)
      await until(`A decision "${reason}" in the audit trail`, () => this.evidence.events.slice(sinceEvent).some(found))
  }

  /** Opens a live connection to `read`, of a bare peer unless another is given. */
  async live(given: Given, peer: Peer = this.peer(given)): Promise<Live> {
    if (peer.live === undefined) throw new Error('This harness has no live connections; declare the scenario unsupported, with the reason.')
    const live = await within('opening a live connection', peer.live('read'))
    this.#delivered.set(live, [])
    await until('The registration of the live connection', () => this.application.subscribers > 0)
    return live
  }

  /** Publishes, and fails unless all that was published arrived, once and in order. */
  async delivers(live: Live, text: string): Promise<void> {
    const delivered = this.#delivered.get(live) ?? []
    delivered.push(text)
    this.application.publish(text)
    await until(`The delivery of "${text}"`, () => live.received.length >= delivered.length)
    if (!isDeepStrictEqual(live.received, delivered))
      throw new Error(`Published ${JSON.stringify(delivered)}, received ${JSON.stringify(live.received)}.`)
  }

  /** Fails unless the live connection is over, for this reason, and what is published now does not arrive. */
  async ends(live: Live, reason?: EndReason): Promise<void> {
    this.application.publish('too late')
    this.evidence.saw('the end', await within('The end of the live connection', live.ended))
    await until('The end of the registration', () => this.application.subscribers === 0)
    if (!isDeepStrictEqual(live.received, this.#delivered.get(live)))
      throw new Error(`After the end the peer has received ${JSON.stringify(live.received)}.`)
    const found = (event: AuditEvent): boolean => event.type === 'sessionEnded' && event.message === reason
    if (reason !== undefined) await until(`The event "sessionEnded", "${reason}"`, () => this.evidence.events.some(found))
  }

  /** Renews the credential of a live connection in band. */
  async reauthenticates(live: Live, presents: readonly Presented[], expected?: Expected): Promise<Observed> {
    const { reauthenticate } = live
    if (reauthenticate === undefined)
      throw new Error('This harness cannot re-authenticate in band; declare the scenario unsupported, with the reason.')
    const since = this.evidence.events.length
    const carriers = presents.map((presented) => this.#carriers.of(presented))
    const observed = await this.#outcome('the answer to the renewal', () => reauthenticate(carriers), 'closed')
    if (expected !== undefined) await this.check(observed, { presents }, expected, since)
    return observed
  }

  /** Lets time pass, in seconds, and everything happen that is due. */
  advance(seconds: number): Promise<void> {
    return this.clock.advanceAsync(seconds * 1000)
  }

  /** Exchanges the certificate of the listener while it serves. */
  swapServer(name: ServerName): Promise<void> {
    return this.#tls.swapServer(name)
  }

  /** Points the client at a port without TLS; fails if it goes on, or sends any of its credential. */
  async refusesPlaintext(): Promise<void> {
    const port = await recordingPort()
    try {
      const { outcome } = await this.observe(await this.client({}, undefined, port.port), 'read')
      if (outcome !== 'clientRefused') throw new Error(`The client did not refuse: ${outcome}.`)
      this.evidence.saw('the plaintext port', port.received())
    } finally {
      await port.close()
    }
  }

  /** Calls with a proof of possession; what is given here is put into the proof in place of the truth. */
  async proves(proof: { readonly method?: string; readonly uri?: string; readonly id?: string }, expected: Expected): Promise<void> {
    const binding = this.#opened.binding?.('read')
    if (binding === undefined)
      throw new Error('This harness gives no binding for proofs; declare the scenario unsupported, with the reason.')
    const { id, ...instead } = proof
    await this.expect(this.#peerWith({}, [this.#carriers.proven({ ...binding, ...instead }, id)]), {}, expected)
  }

  /** One call from beginning to end, and what came of it; for {@link Unsupported.attempt}. */
  async attempt(given: Given): Promise<Observed> {
    await this.open(given)
    return this.observe(given.by === 'client' ? await this.client(given) : this.peer(given), given.operation ?? 'read')
  }

  /**
   * A live connection that cannot be renewed, up to its end at the expiry of the token that it began with. What
   * {@link Unsupported.attempt} shows where a protocol has no way to re-authenticate in band.
   */
  async endsAtExpiry(): Promise<Observed> {
    await this.open({})
    const live = await this.live({ presents: [{ token: { expiresInSeconds: 60 } }] })
    await this.advance(60)
    await this.ends(live, 'expired')
    return { outcome: 'closed', wire: '' }
  }

  /** The subject that the kit makes of a certificate. */
  subjectOf(certificate: CertificateName): string {
    return this.#pki.clients[certificate].thumbprint
  }

  /** Fails unless the guard was asked this often. */
  expectDecisions(count: number): void {
    const decisions = this.evidence.events.filter((event) => event.type === 'decision').length
    if (decisions !== count) throw new Error(`The guard was asked ${decisions} times instead of ${count}.`)
  }

  /** Fails if a secret was seen anywhere. */
  expectNoSecrets(): void {
    this.evidence.expectNoSecrets()
  }

  async #outcome(what: string, act: () => Promise<Observed>, thrown: 'closed' | 'clientRefused'): Promise<Observed> {
    const observed = await within(what, act()).catch((error: unknown): Observed => {
      if (error instanceof TooLate) throw error
      this.evidence.saw('an error', error)
      return { outcome: thrown, wire: String(error) }
    })
    this.evidence.saw('an answer', observed)
    return observed
  }

  get #opened(): Listening {
    if (this.#listening === undefined) throw new Error('The stage was not opened.')
    return this.#listening
  }

  #peerWith({ certificate, trusts = 'sound', plaintext = false }: Given, carriers: readonly Carrier[]): Peer {
    const identity = certificate === undefined ? undefined : this.#pki.clients[certificate]
    const peer = this.#opened.peer({ carriers, identity, trust: this.#pki.authorities[trusts], serverName, plaintext })
    this.#peers.push(peer)
    return peer
  }
}
