import { once } from 'node:events'
import { connect as connectPlain, type AddressInfo, type Socket } from 'node:net'
import { createInterface } from 'node:readline'
import { connect as connectSecure, createServer, type TLSSocket } from 'node:tls'

import {
  anonymous,
  AuthSession,
  formatAuthorization,
  formatChallenges,
  parseAuthorization,
  type AccessRequest,
  type Decision,
  type RequestBinding,
} from '@portcullis/core'
import { attach, connectTls, peerCertificateOf, secureServerOptions } from '@portcullis/tls'

import { connectBare } from './connect-bare.ts'
import type { ClientSetup, Ended, Harness, ListenerSetup, Live, Observed, Peer, PeerSetup } from './harness.ts'

/** How the adapter is wrong. */
export type Defect =
  | 'none'
  | 'acceptsEverything'
  | 'refusesEverything'
  | 'ignoresExpiry'
  | 'takesTheFirstCredential'
  | 'forgetsTheCertificate'
  | 'echoesTheCredential'
  | 'answersBeforeTheGuard'
  | 'tellsFaults'
  | 'forgetsTheBinding'
  | 'neverTellsItsSource'
  | 'sendsTheRefusedAgain'
  | 'trustsEveryServer'
  | 'speaksWithoutTls'
  | 'neverRenews'

interface Message {
  readonly carriers: readonly { readonly text: string; readonly proof?: string | undefined }[]
  readonly operation: string
  readonly kind: 'call' | 'live' | 'renew'
}

const outcomeOf = { allow: 'allowed', challenge: 'challenged', forbid: 'forbidden', unavailable: 'unavailable' } as const

const bindingOf = (operation: string): RequestBinding => ({ method: 'CALL', uri: `https://localhost/${operation}` })

function serveOne(socket: TLSSocket, { tls, guard, operations, application }: ListenerSetup, defect: Defect): void {
  let session: AuthSession | undefined
  let stop = (): void => undefined
  const say = (message: object): void => void socket.write(`${JSON.stringify(message)}\n`)
  const describe = ({ carriers, operation }: Message): AccessRequest => {
    const certificate = defect === 'forgetsTheCertificate' ? undefined : peerCertificateOf(socket, tls)
    const all = carriers.map(({ text, proof }) => parseAuthorization(text, proof))
    const credentials = defect === 'takesTheFirstCredential' ? all.slice(0, 1) : all
    return {
      credentials,
      action: 'call',
      resource: operation,
      attributes: {},
      channel: { from: 'peer', protocol: 'tiny', secure: true, ...(certificate && { certificate }) },
      ...(defect !== 'forgetsTheBinding' && { binding: bindingOf(operation) }),
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
          onWarning: () => say({ warning: true }),
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

/** One end of the line: says a message, gets the answer, and keeps the news. */
function speaker(open: () => Promise<Socket>, onWarning?: () => void) {
  const received: string[] = []
  const { promise: ended, resolve: end } = Promise.withResolvers<Ended>()
  let answer = Promise.withResolvers<Observed>()
  let opened: Promise<Socket> | undefined
  const read = async (): Promise<Socket> => {
    const socket = await open()
    socket.on('error', () => undefined).on('close', () => (end({ wire: '' }), answer.reject(new Error('closed'))))
    createInterface({ input: socket })
      .on('error', () => undefined)
      .on('line', (line) => {
        // To a peer without TLS the listener answers an alert of TLS, on some runtimes.
        if (!line.startsWith('{')) return void socket.destroy()
        const message = JSON.parse(line) as Observed & { readonly news?: string; readonly warning?: true }
        if (message.warning) return onWarning?.()
        if (message.news === undefined) return answer.resolve({ ...message, wire: line })
        return void received.push(message.news)
      })
    return socket
  }
  const say = async (message: Message): Promise<Observed> => {
    const socket = await (opened ??= read())
    answer = Promise.withResolvers()
    answer.promise.catch(() => undefined)
    if (socket.closed) throw new Error('closed')
    socket.write(`${JSON.stringify(message)}\n`)
    return answer.promise
  }
  const close = (): void => {
    void opened?.then(
      (socket) => socket.destroy(),
      () => undefined,
    )
  }
  return { say, received, ended, close }
}

function barePeer(port: number, setup: PeerSetup): Peer {
  const { say, received, ended, close } = speaker(() => connectBare(setup, port))
  const { carriers } = setup
  return {
    close,
    call: (operation) => say({ carriers, operation, kind: 'call' }),
    async live(operation): Promise<Live> {
      const observed = await say({ carriers, operation, kind: 'live' })
      if (observed.outcome !== 'allowed') throw new Error(observed.wire)
      return { received, ended, reauthenticate: (fresh) => say({ carriers: fresh, operation, kind: 'renew' }) }
    },
  }
}

function client(origin: string, port: number, { source, tls, serverName, plaintextPort }: ClientSetup, defect: Defect): Peer {
  const target = { origin, secure: true }
  const open = async (): Promise<Socket> => {
    const host = '127.0.0.1'
    if (defect === 'speaksWithoutTls' && plaintextPort !== undefined) return connectPlain(plaintextPort, host)
    // oxlint-disable-next-line node/no-tls-reject-unauthorized -- wrong on purpose
    if (defect === 'trustsEveryServer') return connectSecure({ port, host, rejectUnauthorized: false })
    return connectTls(tls, { host, port: plaintextPort ?? port, serverName })
  }
  const { say, received, ended, close } = speaker(
    open,
    () => void (defect !== 'neverRenews' && present('read', 'renew').catch(() => undefined)),
  )
  const present = async (operation: string, kind: Message['kind']): Promise<Observed> => {
    const { credential } = await source({ target })
    const carriers = [{ text: formatAuthorization(credential) ?? '' }]
    const observed = await say({ carriers, operation, kind })
    if (observed.outcome !== 'challenged') return observed
    if (defect === 'sendsTheRefusedAgain') return say({ carriers, operation, kind })
    const other = await source({ target, ...(defect !== 'neverTellsItsSource' && { refused: credential }) })
    return say({ carriers: [{ text: formatAuthorization(other.credential) ?? '' }], operation, kind })
  }
  // One at a time, for the line has no numbers.
  let last: Promise<unknown> = Promise.resolve()
  return {
    close,
    call(operation) {
      const result = last.then(() => present(operation, 'call'))
      last = result.catch(() => undefined)
      return result
    },
    async live(operation): Promise<Live> {
      const observed = await present(operation, 'live')
      if (observed.outcome !== 'allowed') throw new Error(observed.wire)
      return { received, ended }
    },
  }
}

/** One small adapter, right or wrong on purpose: the kit must tell them apart. */
export const tiny = (defect: Defect): Harness => ({
  async listen(setup) {
    const server = createServer(secureServerOptions(setup.tls), (socket) => serveOne(socket, setup, defect))
    attach(server, setup.tls)
    await once(server.listen(0, '127.0.0.1'), 'listening')
    const { port } = server.address() as AddressInfo
    const origin = `tiny://localhost:${port}`
    return {
      origin,
      binding: bindingOf,
      peer: (peerSetup) => barePeer(port, peerSetup),
      client: (clientSetup) => client(origin, port, clientSetup, defect),
      async close() {
        await once(server.close(), 'close')
      },
    }
  },
})
