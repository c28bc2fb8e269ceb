/**
 * One server that is measured, in a process of its own: servers of several kinds in one process would share what the
 * runtime has learnt of the library's functions, to the disadvantage of whichever adds something to them.
 */
import { createPublicKey } from 'node:crypto'
import { Server, ServerCredentials, type ServerWritableStream } from '@grpc/grpc-js'
import { everyone, guard, scope, serve, service, type Guard, type Principal } from '@portcullis/grpc'
import { jwt } from '@portcullis/jwt'

/** What is measured. */
export type Kind = 'bare' | 'everyone' | 'jwt' | 'audited'
/** Tells what to listen with. */
export interface ListenMessage {
  readonly type: 'listen'
  readonly kind: Kind
  readonly key: string
  readonly certificate: string
  readonly publicKey: string
}
/** Asks for the processor time used so far, in microseconds. */
export interface CostMessage {
  readonly type: 'cost'
}

/** The issuer of the tokens, and whom they are for. */
export const facts = { issuer: 'https://issuer.localhost', audience: 'texts' } as const
/** The messages of each stream. */
export const messagesPerStream = 1_000
/** The paths of the two methods. */
export const paths = { say: '/bench.Texts/say', follow: '/bench.Texts/follow' } as const

const shared = {
  requestSerialize: (text: string): Buffer => Buffer.from(text),
  requestDeserialize: (bytes: Buffer): string => bytes.toString(),
  responseSerialize: (text: string): Buffer => Buffer.from(text),
  responseDeserialize: (bytes: Buffer): string => bytes.toString(),
}
const definition = {
  say: { path: paths.say, requestStream: false, responseStream: false, ...shared },
  follow: { path: paths.follow, requestStream: false, responseStream: true, ...shared },
} as const
const follow = (call: ServerWritableStream<string, string>): void => {
  for (let at = 0; at < messagesPerStream; at++) call.write('shipped')
  call.end()
}

process.on('message', (message: ListenMessage | CostMessage) => {
  if (message.type === 'cost') {
    const { user, system } = process.cpuUsage()
    process.send?.({ value: user + system })
  } else {
    listen(message).then(
      (value) => process.send?.({ value }),
      (error: unknown) => process.send?.({ error: String(error) }),
    )
  }
})

async function listen({ kind, key, certificate, publicKey }: ListenMessage): Promise<number> {
  if (kind === 'bare') {
    const server = new Server({ 'grpc.enable_channelz': 0 })
    server.addService(definition, {
      say: (_call: unknown, answer: (error: null, text: string) => void) => answer(null, 'shipped'),
      follow,
    })
    return new Promise((resolve, reject) => {
      const credentials = ServerCredentials.createSsl(null, [{ private_key: Buffer.from(key), cert_chain: Buffer.from(certificate) }])
      server.bindAsync('127.0.0.1:0', credentials, (error, port) => (error === null ? resolve(port) : reject(error)))
    })
  }
  const tls = { side: 'server', identity: { key: { pem: key }, certificates: { pem: certificate } } } as const
  if (kind === 'everyone') {
    const open = guard({ authenticate: everyone() })
    const texts = service({ definition, guard: open, handlers: { say: () => 'shipped', follow } })
    return (await serve({ tls, guard: open, services: [texts] })).port
  }
  let seen = 0
  const by: Guard<Principal> = guard({
    authenticate: jwt({ ...facts, keys: { publicKey: createPublicKey(publicKey), keyId: 'k1', algorithms: ['RS256'] as const } }),
    authorize: scope('read'),
    ...(kind === 'audited' && { audit: () => void seen++ }),
  })
  const texts = service({ definition, guard: by, handlers: { say: () => 'shipped', follow } })
  return (await serve({ tls, guard: by, services: [texts] })).port
}
