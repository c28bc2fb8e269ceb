import {
  status,
  type CallOptions,
  type Client,
  type ClientDuplexStream,
  type ClientReadableStream,
  type ClientWritableStream,
  type Metadata,
  type MethodDefinition,
  type StatusObject,
} from '@grpc/grpc-js'
import {
  authenticator,
  guard,
  notMine,
  refused,
  Revocation,
  scope,
  secret,
  vouchForPrincipal,
  type AuditEvent,
  type Credential,
  type CredentialSource,
  type Principal,
} from '@portcullis/core'
import { manualClock } from '@portcullis/core/testing'
import { developmentTls } from '@portcullis/tls/development'

const serialize = (text: string): Buffer => Buffer.from(text)
const deserialize = (bytes: Buffer): string => bytes.toString()

/** A method whose messages are texts, with a stream in neither, one or both directions. */
export function textMethod<const Q extends boolean, const R extends boolean>(
  path: string,
  requestStream: Q,
  responseStream: R,
): MethodDefinition<string, string> & { readonly requestStream: Q; readonly responseStream: R } {
  return {
    path,
    requestStream,
    responseStream,
    requestSerialize: serialize,
    requestDeserialize: deserialize,
    responseSerialize: serialize,
    responseDeserialize: deserialize,
  }
}

/** One method of each kind. */
export const texts = {
  say: textMethod('/test.Texts/say', false, false),
  gather: textMethod('/test.Texts/gather', true, false),
  follow: textMethod('/test.Texts/follow', false, true),
  talk: textMethod('/test.Texts/talk', true, true),
}

/** Calls the methods of {@link texts}, as a generated client would. */
export function stub(client: Client) {
  return {
    say: (text = 'hello', metadata?: Metadata, options: CallOptions = {}): Promise<string> =>
      new Promise((resolve, reject) => {
        const done = (error: Error | null, answer?: string): void => (error === null ? resolve(answer ?? '') : reject(error))
        if (metadata === undefined) client.makeUnaryRequest(texts.say.path, serialize, deserialize, text, options, done)
        else client.makeUnaryRequest(texts.say.path, serialize, deserialize, text, metadata, options, done)
      }),
    gather(options: CallOptions = {}) {
      const { promise, resolve, reject } = Promise.withResolvers<string>()
      const call: ClientWritableStream<string> = client.makeClientStreamRequest(
        texts.gather.path,
        serialize,
        deserialize,
        options,
        (error, answer) => (error === null ? resolve(answer ?? '') : reject(error)),
      )
      return { call, answer: promise }
    },
    follow: (text = 'news', options: CallOptions = {}) =>
      heard(client.makeServerStreamRequest(texts.follow.path, serialize, deserialize, text, options)),
    talk: (options: CallOptions = {}) => heard(client.makeBidiStreamRequest(texts.talk.path, serialize, deserialize, options)),
  }
}

/** A stream, with what came of it. */
export function heard<S extends ClientReadableStream<string> | ClientDuplexStream<string, string>>(call: S) {
  const received: string[] = []
  const ended = new Promise<StatusObject>((resolve) => {
    call.on('data', (text: string) => received.push(text)).on('error', () => undefined)
    call.on('status', resolve)
  })
  return { call, received, ended }
}

export const development = await developmentTls()

/** A token says whose it is, with which scopes (`read.write`), and until when. */
export const token = (subject: string, scopes = '', expiresAt?: Date): string => `${subject}~${scopes}~${expiresAt?.getTime() ?? ''}`

/** A guard that believes every token that says who it is, its clock, and what it told. */
export function guarding() {
  const clock = manualClock()
  const events: AuditEvent[] = []
  const revocations = new Map<string, Revocation>()
  const authenticate = authenticator(
    'tokens',
    ({ credentials: [credential] }): Principal | ReturnType<typeof refused> | typeof notMine => {
      if (credential?.kind !== 'bearer') return notMine
      const [, subject = '', scopes = '', until = ''] = /^([a-z]+)~([a-z.]*)~(\d*)$/.exec(credential.token.reveal()) ?? []
      if (subject === '' || (until !== '' && Number(until) <= clock.now())) return refused('ERR_TEST')
      const revocation = revocations.get(subject) ?? new Revocation()
      revocations.set(subject, revocation)
      return vouchForPrincipal({
        issuer: 'test',
        subject,
        scopes: scopes.split('.').filter((one) => one !== ''),
        revocations: [revocation],
        ...(until !== '' && { expiresAt: new Date(Number(until)) }),
      })
    },
    [{ scheme: 'Bearer' }],
  )
  const listener = guard({ authenticate, clock, audit: (event) => events.push(event) })
  const revoke = (subject: string): void => revocations.get(subject)?.revoke('test')
  return { clock, events, guard: listener, writing: listener.with({ authorize: scope('write') }), revoke }
}

export const bearer = (text: string): Credential => ({ kind: 'bearer', carrier: 'authorization', token: secret(text) })
export const source =
  (text: string, expiresAt?: Date): CredentialSource =>
  () => ({ credential: bearer(text), ...(expiresAt !== undefined && { expiresAt }) })

/** What a call was refused with, as `code details`. */
export const refusal = (call: Promise<unknown>): Promise<string> =>
  call.then(
    () => 'answered',
    (error: StatusObject) => `${status[error.code]} ${error.details}`,
  )
