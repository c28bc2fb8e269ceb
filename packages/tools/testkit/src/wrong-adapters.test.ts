import { once } from 'node:events'
import type { AddressInfo, Socket } from 'node:net'
import { createInterface } from 'node:readline'
import { createServer, type TLSSocket } from 'node:tls'

import { anonymous, AuthSession, formatChallenges, parseAuthorization, type AccessRequest, type Decision } from '@portcullis/core'
import { attach, peerCertificateOf, secureServerOptions } from '@portcullis/tls'
import { expect, test } from 'vitest'

import { connectBare } from './connect-bare.ts'
import type { Ended, Harness, ListenerSetup, Live, Observed, Peer, PeerSetup } from './harness.ts'
import { runScenario } from './run-scenario.ts'
import { scenarioIds, scenarios, type ScenarioId } from './scenarios/index.ts'

// One small adapter, right or wrong on purpose: the kit must tell them apart.
type Defect =
  | 'none'
  | 'acceptsEverything'
  | 'refusesEverything'
  | 'ignoresExpiry'
  | 'takesTheFirstCredential'
  | 'forgetsTheCertificate'
  | 'echoesTheCredential'
  | 'answersBeforeTheGuard'
  | 'tellsFaults'

interface Message {
  readonly carriers: readonly string[]
  readonly operation: string
  readonly kind: 'call' | 'live' | 'renew'
}

const outcomeOf = { allow: 'allowed', challenge: 'challenged', forbid: 'forbidden', unavailable: 'unavailable' } as const

function serveOne(socket: TLSSocket, { tls, guard, operations, application }: ListenerSetup, defect: Defect): void {
  let session: AuthSession | undefined
  let stop = (): void => undefined
  const say = (message: object): void => void socket.write(`${JSON.stringify(message)}\n`)
  const describe = ({ carriers, operation }: Message): AccessRequest => {
    const certificate = defect === 'forgetsTheCertificate' ? undefined : peerCertificateOf(socket, tls)
    const all = carriers.map((text) => parseAuthorization(text))
    const credentials = defect === 'takesTheFirstCredential' ? all.slice(0, 1) : all
    return {
      credentials,
      action: 'call',
      resource: operation,
      attributes: {},
      channel: { from: 'peer', protocol: 'tiny', secure: true, ...(certificate && { certificate }) },
    }
  }
  const decide = async (message: Message): Promise<Decision | undefined> => {
    const own = operations.find(({ name }) => name === message.operation)?.guard
    if (defect === 'answersBeforeTheGuard') application.answer(message.operation, anonymous)
    return message.kind === 'renew' ? session?.reauthenticate(describe(message)) : (own ?? guard).decide(describe(message))
  }
  socket.on('error', () => undefined).on('close', () => (stop(), session?.close()))
  const answer = async (message: Message): Promise<void> => {
    if (defect === 'acceptsEverything') return say({ outcome: 'allowed', answer: application.answer(message.operation, anonymous) })
    if (defect === 'refusesEverything') return say({ outcome: 'challenged', challenges: ['Bearer'] })
    const decision = await decide(message)
    if (decision === undefined) return say({ outcome: 'forbidden' })
    if (decision.outcome !== 'allow') {
      return say({
        outcome: outcomeOf[decision.outcome],
        challenges: formatChallenges(decision.offers, decision.reason, decision.advice),
        ...(defect === 'echoesTheCredential' && { received: message.carriers }),
      })
    }
    if (!operations.some(({ name }) => name === message.operation)) return say({ outcome: 'forbidden' })
    const { principal } = decision
    if (message.kind === 'call') {
      try {
        return say({ outcome: 'allowed', answer: application.answer(message.operation, principal) })
      } catch (error) {
        return say({ outcome: 'unavailable', ...(defect === 'tellsFaults' && { error: String(error) }) })
      }
    }
    if (session?.ended !== undefined) return
    if (message.kind === 'live') {
      const { guard: own = guard } = operations.find(({ name }) => name === message.operation) ?? {}
      const onEnd = (): void => void socket.end()
      if (defect !== 'ignoresExpiry' && principal.kind === 'principal')
        session = new AuthSession({
          guard: own as never,
          principal,
          action: describe(message),
          protocol: 'tiny',
          onEnd: () => (stop(), onEnd()),
        })
      stop = application.subscribe(message.operation, principal, (text) => session?.ended === undefined && say({ news: text }))
    }
    return say({ outcome: 'allowed' })
  }
  createInterface({ input: socket })
    .on('error', () => undefined)
    .on('line', (line) => void answer(JSON.parse(line) as Message))
}

const sockets = new Set<Socket>()

function barePeer(port: number, setup: PeerSetup): Peer {
  const received: string[] = []
  const { promise: ended, resolve: end } = Promise.withResolvers<Ended>()
  let answer = Promise.withResolvers<Observed>()
  answer.promise.catch(() => undefined)
  const open = async (): Promise<Socket> => {
    const socket = await connectBare(setup, port)
    sockets.add(socket)
    socket.on('close', () => (end({ wire: '' }), answer.reject(new Error('closed'))))
    createInterface({ input: socket })
      .on('error', () => undefined)
      .on('line', (line) => {
        const message = JSON.parse(line) as Observed & { readonly news?: string }
        if (message.news === undefined) answer.resolve({ ...message, wire: line })
        else received.push(message.news)
      })
    return socket
  }
  let opened: Promise<Socket> | undefined
  const say = async (message: Message): Promise<Observed> => {
    const socket = await (opened ??= open())
    answer = Promise.withResolvers()
    answer.promise.catch(() => undefined)
    if (socket.closed) throw new Error('closed')
    socket.write(`${JSON.stringify(message)}\n`)
    return answer.promise
  }
  const texts = setup.carriers.map(({ text }) => text)
  return {
    call: (operation) => say({ carriers: texts, operation, kind: 'call' }),
    async live(operation): Promise<Live> {
      const observed = await say({ carriers: texts, operation, kind: 'live' })
      if (observed.outcome !== 'allowed') throw new Error(observed.wire)
      return { received, ended, reauthenticate: (fresh) => say({ carriers: fresh.map(({ text }) => text), operation, kind: 'renew' }) }
    },
  }
}

const harness = (defect: Defect): Harness => ({
  async listen(setup) {
    const server = createServer(secureServerOptions(setup.tls), (socket) => serveOne(socket, setup, defect))
    attach(server, setup.tls)
    await once(server.listen(0, '127.0.0.1'), 'listening')
    const { port } = server.address() as AddressInfo
    return {
      origin: `tiny://localhost:${port}`,
      peer: (peerSetup) => barePeer(port, peerSetup),
      client: () => Promise.reject(new Error('It has no client.')),
      async close() {
        for (const socket of sockets) socket.destroy()
        sockets.clear()
        await once(server.close(), 'close')
      },
    }
  },
})

// It has no client, and carries no proofs.
const asked = scenarioIds.filter((id) => !id.startsWith('client.') && !id.startsWith('proof.'))

/** The scenarios that fail, if for a reason like this. */
async function failing(defect: Defect, ids: readonly ScenarioId[], reason = /./): Promise<readonly ScenarioId[]> {
  const failed: ScenarioId[] = []
  for (const id of ids) {
    await runScenario(harness(defect), id).catch((error: unknown) => reason.test(String(error)) && failed.push(id))
  }
  return failed
}

const expecting = (allowed: boolean): readonly ScenarioId[] =>
  asked.filter((id) => {
    const scenario = scenarios[id]
    return 'observed' in scenario && scenario.observed.outcome !== 'closed' && (scenario.observed.outcome === 'allowed') === allowed
  })

test('passes an adapter that is right', async () => {
  expect(await failing('none', asked)).toEqual([])
})

test('fails an adapter that accepts everything, in every scenario of a refusal', async () => {
  const refusals = expecting(false)
  expect(refusals.length).toBeGreaterThan(20)
  expect(await failing('acceptsEverything', refusals, /observed allowed/)).toEqual(refusals)
})

test('fails an adapter that refuses everything, in every scenario of an acceptance', async () => {
  const acceptances = expecting(true)
  expect(acceptances.length).toBeGreaterThan(5)
  expect(await failing('refusesEverything', acceptances, /observed challenged/)).toEqual(acceptances)
})

// The kit waits for an end that does not come, each time; so only the scenarios in question are run.
const wrong: readonly (readonly [Defect, readonly [ScenarioId, ...ScenarioId[]]])[] = [
  ['ignoresExpiry', ['live.expiry']],
  ['tellsFaults', ['policy.handlerFault']],
  ['takesTheFirstCredential', ['credential.twoInOneCarrier', 'credential.oneKindInTwoCarriers']],
  ['forgetsTheCertificate', ['channel.certificate', 'channel.boundToThis', 'policy.secondFactorPresent']],
  ['echoesTheCredential', ['credential.expired', 'credential.malformed', 'secrets.unseen']],
  ['answersBeforeTheGuard', ['credential.none', 'policy.missingScope']],
]

test.each(wrong)('fails an adapter that %s', async (defect, ids) => {
  expect(await failing(defect, ids)).toEqual(ids)
})
