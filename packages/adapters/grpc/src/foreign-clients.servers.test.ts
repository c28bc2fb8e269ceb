import { spawn } from 'node:child_process'
import { generateKeyPairSync } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import type { ServerUnaryCall, ServerWritableStream, ServiceDefinition } from '@grpc/grpc-js'
import * as protoLoader from '@grpc/proto-loader'
import { ReflectionService } from '@grpc/reflection'
import { allOf } from '@portcullis/core'
import { createIssuer, jwt } from '@portcullis/jwt'
import { runForeign } from '@portcullis/test-servers'
import { testPki } from '@portcullis/testkit'
import { clientCertificate, tlsBundle } from '@portcullis/tls'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { guard, scope, serve, service, type GrpcListener } from './index.ts'

const proto = `
syntax = "proto3";
package demo.v1;
message GreetRequest { string name = 1; }
message GreetResponse { string text = 1; }
service Greeter {
  rpc Greet(GreetRequest) returns (GreetResponse);
  rpc Admit(GreetRequest) returns (GreetResponse);
  rpc Certified(GreetRequest) returns (GreetResponse);
  rpc Watch(GreetRequest) returns (stream GreetResponse);
}
`

let folder: string
let listener: GrpcListener
let issue: (claims: object, expiresInSeconds?: number) => Promise<string>
const openings: (() => void)[] = []

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'portcullis-grpc-'))
  const file = join(folder, 'greeter.proto')
  const pki = await testPki()
  await Promise.all([
    writeFile(file, proto),
    writeFile(join(folder, 'ca.pem'), pki.authorities.sound),
    writeFile(join(folder, 'alice.pem'), pki.clients.alice.pem),
  ])
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const facts = { issuer: 'https://issuer.localhost', audience: 'greeter' }
  issue = async (claims, expiresInSeconds = 60) => {
    const issuer = createIssuer({ ...facts, key: { privateKey, algorithm: 'ES256' }, expiresInSeconds })
    return issuer.issue({ subject: 'alice', claims: { ...claims } })
  }
  const tls = await tlsBundle({
    side: 'server',
    identity: { pem: pki.servers.sound.pem },
    clientCertificates: { accept: { clients: { pem: pki.authorities.clients } } },
    checkFilesEveryMs: 'off',
  })
  const tokens = jwt({ ...facts, keys: { publicKey } })
  const greeting = guard({ authenticate: tokens, authorize: scope('greet') })
  const certified = greeting.with({
    authenticate: allOf(tokens, clientCertificate({ tls, issuers: { clients: { by: 'thumbprint', everyone: { scopes: [] } } } })),
  })
  const loaded = protoLoader.loadSync(file)
  type Request = { readonly name: string }
  const greet = (call: ServerUnaryCall<Request, object>, { subject }: { readonly subject: string }) => ({
    text: `${call.request.name}, ${subject}`,
  })
  listener = await serve({
    tls,
    guard: greeting,
    services: [
      service({
        definition: loaded['demo.v1.Greeter'] as ServiceDefinition,
        guard: greeting,
        guards: { Admit: greeting.with({ authorize: scope('admit') }), Certified: certified },
        handlers: {
          Greet: greet,
          Admit: greet,
          Certified: greet,
          Watch(call: ServerWritableStream<Request, object>) {
            call.write({ text: 'open' })
            openings.push(() => call.write({ text: 'later' }))
          },
        },
      }),
    ],
    register: (server) => new ReflectionService(loaded).addToServer(server),
  })
})
afterAll(async () => {
  await listener.close({ graceMs: 0 })
  await rm(folder, { recursive: true })
})

/** Runs the library of the Python world; its messages are bytes, so that no code need be generated. */
async function python(body: string, values: Readonly<Record<string, string>> = {}): Promise<string> {
  const script = `
import grpc, os, sys, threading, time
v = os.environ
ca = open(v['FOLDER'] + '/ca.pem', 'rb').read()
pair = open(v['FOLDER'] + '/alice.pem', 'rb').read()
def channel(certified=False):
    return grpc.secure_channel('localhost:' + v['PORT'], grpc.ssl_channel_credentials(ca, pair if certified else None, pair if certified else None))
def bearer(name): return ('authorization', 'Bearer ' + v[name])
def call(channel, path, *metadata):
    return channel.unary_unary(path)(b'\\x0a\\x05hello', metadata=metadata, timeout=10)
def told(act):
    try: print(act()[2:].decode())
    except grpc.RpcError as e: print(e.code().name, e.details(), [value for key, value in e.trailing_metadata() if key == 'www-authenticate'])
${body}`
  const { said, status } = await runForeign('python3-grpcio', 'python', ['-c', script], {
    env: { ...values, FOLDER: folder, PORT: String(listener.port) },
    withinMs: 20_000,
  })
  expect(status, said).toBe(0)
  return said.trim()
}

describe('python grpcio', () => {
  it('is answered, challenged and forbidden as it must be', async () => {
    const said = await python(
      `c = channel()
told(lambda: call(c, '/demo.v1.Greeter/Greet', bearer('SOUND')))
told(lambda: call(c, '/demo.v1.Greeter/Greet'))
told(lambda: call(c, '/demo.v1.Greeter/Greet', bearer('TAMPERED')))
told(lambda: call(c, '/demo.v1.Greeter/Admit', bearer('SOUND')))
told(lambda: call(c, '/demo.v1.Greeter/Certified', bearer('SOUND')))
told(lambda: call(channel(True), '/demo.v1.Greeter/Certified', bearer('SOUND')))`,
      { SOUND: await issue({ scope: 'greet' }), TAMPERED: `${(await issue({ scope: 'greet' })).slice(0, -6)}AAAAAA` },
    )
    expect(said.split('\n')).toEqual([
      'hello, alice',
      "UNAUTHENTICATED A credential is needed. ['Bearer']",
      `UNAUTHENTICATED The credential is not accepted. ['Bearer error="invalid_token"']`,
      `PERMISSION_DENIED A scope is missing. ['Bearer error="insufficient_scope", scope="admit"']`,
      "UNAUTHENTICATED A credential is needed. ['Bearer']",
      'hello, alice',
    ])
  })

  it('is never allowed by the second of two credentials', async () => {
    const said = await python(
      `c = channel()
told(lambda: call(c, '/demo.v1.Greeter/Greet', bearer('SOUND'), ('authorization', 'Bearer nonsense')))
told(lambda: call(c, '/demo.v1.Greeter/Greet', ('authorization', 'Bearer nonsense'), bearer('SOUND')))`,
      { SOUND: await issue({ scope: 'greet' }) },
    )
    expect(said.split('\n')[1]).toMatch(/^UNAUTHENTICATED/)
  })

  it('loses its stream at expiry, in silence, with UNAUTHENTICATED', async () => {
    const said = await python(
      `received = []
try:
    for message in channel().unary_stream('/demo.v1.Greeter/Watch')(b'\\x0a\\x01x', metadata=[bearer('SHORT')]): received.append(message[2:].decode())
except grpc.RpcError as e: print(received, e.code().name, e.details())`,
      { SHORT: await issue({ scope: 'greet' }, 2) },
    )
    expect(said).toBe("['open'] UNAUTHENTICATED The credential has expired.")
  })

  it('renews its stream in band', async () => {
    const said = await python(
      `c = channel()
name = ('portcullis-stream', 'a-stream-of-the-python-client')
stream = c.unary_stream('/demo.v1.Greeter/Watch')(b'\\x0a\\x01x', metadata=[bearer('SHORT'), name])
print(next(stream)[2:].decode())
print(c.unary_unary('/portcullis.v1.Session/Renew')(b'', metadata=[bearer('LONG'), name], timeout=10))
time.sleep(2.5)
print(stream.is_active())
stream.cancel()`,
      { SHORT: await issue({ scope: 'greet' }, 2), LONG: await issue({ scope: 'greet' }, 60) },
    )
    expect(said.split('\n')).toEqual(['open', "b''", 'True'])
  })
})

/** Runs `buf curl`, whose gRPC is that of Connect for Go. */
function buf(...args: string[]): Promise<string> {
  const bin = join(dirname(createRequire(import.meta.url).resolve('@bufbuild/buf/package.json')), 'bin', 'buf')
  const command = [bin, 'curl', '--protocol', 'grpc', '--cacert', join(folder, 'ca.pem'), ...args]
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, command, {
      cwd: folder,
      env: { ...process.env, HOME: folder },
      timeout: 20_000,
      killSignal: 'SIGKILL',
    })
    let said = ''
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => (said += chunk.toString()))
    child.once('error', reject).once('close', () => resolve(said.trim()))
  })
}

describe('buf curl', () => {
  const url = (method: string): string => `${listener.origin}/demo.v1.Greeter/${method}`
  const data = ['-d', '{"name":"hello"}']

  it('is answered, challenged and forbidden as it must be', async () => {
    const header = ['-H', `authorization: Bearer ${await issue({ scope: 'greet' })}`]
    const schema = ['--schema', '.', ...data]
    expect(JSON.parse(await buf(...schema, ...header, url('Greet')))).toEqual({ text: 'hello, alice' })
    expect(JSON.parse(await buf(...schema, url('Greet')))).toMatchObject({ code: 'unauthenticated', message: 'A credential is needed.' })
    expect(JSON.parse(await buf(...schema, ...header, url('Admit')))).toMatchObject({
      code: 'permission_denied',
      message: 'A scope is missing.',
    })
    const pair = join(folder, 'alice.pem')
    expect(JSON.parse(await buf(...schema, ...header, '--cert', pair, '--key', pair, url('Certified')))).toEqual({ text: 'hello, alice' })
  })

  it('finds the methods by reflection, with a credential and not without', async () => {
    const token = `authorization: Bearer ${await issue({ scope: 'greet' })}`
    expect(JSON.parse(await buf(...data, '-H', token, '--reflect-header', token, url('Greet')))).toEqual({ text: 'hello, alice' })
    expect(await buf(...data, '-H', token, url('Greet'))).toMatch(/failed to find service|unauthenticated/i)
  })
})
