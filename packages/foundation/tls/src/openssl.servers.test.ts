import { generateKeyPairSync } from 'node:crypto'
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import tls from 'node:tls'

import { secret } from '@portcullis/core'
import type { KeyPairSource } from '@portcullis/crypto'
import { describe, expect, it, onTestFinished } from 'vitest'

import { Authority, clientBundle, dates, listen, pair, serve, serverBundle } from './authorities.test-support.ts'
import { connectTls } from './client.ts'
import { anyHostName, anyServer } from './danger.ts'
import { attach, secureServerOptions } from './server.ts'
import type { Issued } from './write-certificate.ts'

const servers = await Authority.root('Servers')
const clients = await Authority.root('Clients')

async function openssl(...args: readonly string[]): Promise<{ child: ChildProcess; text: () => string }> {
  const child = spawn('openssl', args, { stdio: ['pipe', 'pipe', 'pipe'] })
  onTestFinished(() => void child.kill('SIGKILL'))
  let text = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (data) => (text += String(data)))
  child.stdin.on('error', () => undefined)
  await once(child, 'spawn').catch((cause: unknown) => {
    throw new Error('These tests need the command openssl 3 (apt-get install openssl).', { cause })
  })
  return { child, text: () => text }
}

async function command(...args: readonly string[]): Promise<void> {
  const { child, text } = await openssl(...args)
  child.stdin?.end()
  await once(child, 'close')
  if (child.exitCode !== 0) throw new Error(`openssl ${args[0]} failed: ${text()}`)
}

/** What s_client says, until the server's line has come or the connection has ended. */
async function client(port: number, ...args: readonly string[]): Promise<string> {
  const { child, text } = await openssl('s_client', '-connect', `127.0.0.1:${port}`, '-ign_eof', ...args)
  const ended = once(child, 'close')
  while (child.exitCode === null && !/^hello$/m.test(text())) await Promise.race([ended, new Promise((resolve) => setTimeout(resolve, 5))])
  if (child.exitCode !== null) await ended
  return text()
}

async function files(
  issued: Issued,
  ...above: readonly Authority[]
): Promise<readonly ['-cert', string, '-key', string, '-cert_chain', string]> {
  const path = await mkdtemp(join(tmpdir(), 'portcullis-openssl-'))
  onTestFinished(() => rm(path, { recursive: true }))
  const [cert, key, chain] = ['cert.pem', 'key.pem', 'chain.pem'].map((name) => join(path, name)) as [string, string, string]
  await writeFile(cert, issued.certificate.toString())
  await writeFile(key, issued.key.export({ type: 'pkcs8', format: 'pem' }))
  await writeFile(chain, [issued.certificate, ...above.map(({ trust }) => trust)].join(''))
  return ['-cert', cert, '-key', key, '-cert_chain', chain]
}

describe('key pairs and trust anchors that openssl wrote', () => {
  const forms: Record<
    string,
    {
      write: (source: { cert: string; key: string; out: string }) => readonly string[]
      source: (out: string, cert: string) => KeyPairSource
    }
  > = {
    'an encrypted key in PKCS#8': {
      write: ({ key, out }) => ['pkcs8', '-topk8', '-in', key, '-out', out, '-v2', 'aes-256-cbc', '-passout', 'pass:sesame'],
      source: (out, cert) => ({ key: { pemFile: out, password: secret('sesame') }, certificates: { pemFile: cert } }),
    },
    'a PKCS#12 store': {
      write: ({ cert, key, out }) => [
        'pkcs12',
        '-export',
        '-inkey',
        key,
        '-in',
        cert,
        '-name',
        'server',
        '-out',
        out,
        '-passout',
        'pass:sesame',
      ],
      source: (out) => ({ pkcs12File: out, password: secret('sesame'), alias: 'server' }),
    },
    'a PKCS#12 store of old encryption (RC2 and 3DES)': {
      write: ({ cert, key, out }) => [
        'pkcs12',
        '-export',
        '-legacy',
        '-inkey',
        key,
        '-in',
        cert,
        '-name',
        'server',
        '-out',
        out,
        '-passout',
        'pass:sesame',
      ],
      source: (out) => ({ pkcs12File: out, password: 'sesame' }),
    },
  }
  for (const [what, { write, source }] of Object.entries(forms)) {
    it(`serve, out of ${what}`, async () => {
      const args = await files(await servers.issue({ commonName: 'stored', usages: ['serverAuth'] }))
      const [cert, key] = [args[1], args[3]]
      const out = `${key}.out`
      await command(...write({ cert, key, out }))
      const { port } = await serve(await serverBundle({ identity: source(out, cert) }))
      expect(await client(port)).toMatch(/subject=CN ?= ?stored[^]*^hello$/m)
    })
  }

  it.each([[], ['-legacy', '-certpbe', 'PBE-SHA1-RC2-40']])(
    'are trusted, out of a store of certificates only %s',
    async (...legacy: readonly string[]) => {
      const [, cert] = await files(clients.issued)
      const out = `${cert}.p12`
      await command('pkcs12', '-export', '-nokeys', ...legacy, '-in', cert, '-out', out, '-passout', 'pass:sesame')
      const { port, peers } = await serve(
        await serverBundle({
          identity: await servers.server(),
          clientCertificates: { require: { clients: { pkcs12File: out, password: 'sesame' } } },
        }),
      )
      expect(await client(port, ...(await files(await clients.issue())))).toMatch(/^hello$/m)
      expect(peers).toHaveLength(1)
    },
  )

  it('of two types serve one name', async () => {
    const rsa = await files(
      await servers.issue({
        commonName: 'rsa',
        usages: ['serverAuth'],
        key: generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey,
      }),
    )
    const { port } = await serve(
      await serverBundle({
        identity: [await servers.server({ commonName: 'ec' }), { key: { pemFile: rsa[3] }, certificates: { pemFile: rsa[1] } }],
      }),
    )
    expect(await client(port, '-sigalgs', 'ECDSA+SHA256')).toMatch(/subject=CN ?= ?ec/)
    expect(await client(port, '-sigalgs', 'RSA-PSS+SHA256:ECDSA+SHA384')).toMatch(/subject=CN ?= ?rsa/)
  })
})

describe('openssl s_client', () => {
  it('speaks TLS 1.2 and 1.3, and nothing older', async () => {
    const { port } = await serve(await serverBundle({ identity: await servers.server() }))
    expect(await client(port, '-tls1_2')).toMatch(/New, TLSv1.2, Cipher is ECDHE-ECDSA-AES256-GCM-SHA384/)
    expect(await client(port, '-tls1_3')).toMatch(/New, TLSv1.3, Cipher is TLS_AES_256_GCM_SHA384/)
    for (const version of ['-tls1', '-tls1_1'])
      expect(await client(port, version, '-cipher', 'ALL@SECLEVEL=0')).toMatch(/alert protocol version/)
  })

  it('speaks the version that is asked for', async () => {
    const only13 = await serve(await serverBundle({ identity: await servers.server(), versions: ['TLSv1.3'] }))
    expect(await client(only13.port, '-tls1_2')).toMatch(/alert protocol version/)
    expect(await client(only13.port)).toMatch(/^hello$/m)
    const only12 = await serve(await serverBundle({ identity: await servers.server(), versions: ['TLSv1.2'] }))
    expect(await client(only12.port, '-tls1_3')).toMatch(/alert protocol version/)
    expect(await client(only12.port)).toMatch(/New, TLSv1.2/)
  })

  it('is offered forward secret, authenticated suites only, in the order of the server', async () => {
    const { port } = await serve(await serverBundle({ identity: await servers.server() }))
    for (const weak of ['ECDHE-ECDSA-AES128-SHA', 'ECDHE-ECDSA-AES256-SHA384', 'AES128-SHA', 'aNULL', 'eNULL', 'PSK']) {
      expect(await client(port, '-tls1_2', '-cipher', `${weak}:@SECLEVEL=0`)).not.toMatch(/^hello$/m)
    }
    expect(await client(port, '-tls1_2', '-cipher', 'ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384')).toMatch(
      /Cipher is ECDHE-ECDSA-AES256-GCM-SHA384/,
    )
    const chosen = await serve(
      await serverBundle({
        identity: await servers.server(),
        cipherSuites: ['TLS_CHACHA20_POLY1305_SHA256', 'ECDHE-ECDSA-CHACHA20-POLY1305'],
      }),
    )
    expect(await client(chosen.port)).toMatch(/Cipher is TLS_CHACHA20_POLY1305_SHA256/)
    expect(await client(chosen.port, '-tls1_2')).toMatch(/Cipher is ECDHE-ECDSA-CHACHA20-POLY1305/)
    expect(await client(chosen.port, '-tls1_3', '-ciphersuites', 'TLS_AES_128_GCM_SHA256')).toMatch(/handshake failure/)
  })

  it('agrees on the groups that are asked for', async () => {
    const { port } = await serve(await serverBundle({ identity: await servers.server(), groups: ['P-384'] }))
    expect(await client(port, '-groups', 'X25519:P-384')).toMatch(/Temp Key: ECDH, secp384r1/)
    expect(await client(port, '-groups', 'X25519')).toMatch(/handshake failure/)
  })

  it('agrees on an application protocol, or is told that there is none in common', async () => {
    const bundle = await serverBundle({ identity: await servers.server() })
    const server = tls.createServer(secureServerOptions(bundle, { alpn: ['h2', 'http/1.1'] }), (socket) =>
      socket.on('error', () => undefined).write('hello\n'),
    )
    attach(server, bundle)
    const port = await listen(server)
    expect(await client(port, '-alpn', 'http/1.1,h2')).toMatch(/ALPN protocol: h2/)
    expect(await client(port, '-alpn', 'http/1.1')).toMatch(/ALPN protocol: http\/1.1/)
    expect(await client(port)).toMatch(/No ALPN negotiated[^]*^hello$/m)
    expect(await client(port, '-alpn', 'smtp')).toMatch(/alert no application protocol/)
  })

  it('gets the certificate of the name that it asks for', async () => {
    const named = (commonName: string) => servers.server({ commonName, names: { dns: [commonName] } })
    const bundle = await serverBundle({
      identity: await named('default.example'),
      serverNames: {
        'a.example': await named('a.example'),
        '*.wild.example': await named('wild.example'),
        'B.Example': await named('b.example'),
      },
    })
    const { port } = await serve(bundle)
    const cases = {
      'a.example': 'a',
      'A.EXAMPLE': 'a',
      'b.example': 'b',
      'x.wild.example': 'wild',
      'x.y.wild.example': 'default',
      'wild.example': 'default',
      'else.example': 'default',
      constructor: 'default',
    }
    for (const [name, expected] of Object.entries(cases))
      expect(await client(port, '-servername', name)).toMatch(new RegExp(`subject=CN ?= ?${expected}.example`))
    expect(await client(port, '-noservername')).toMatch(/subject=CN ?= ?default.example/)
  })

  it('cannot begin a second handshake on an open connection', async () => {
    const { port, refusals } = await serve(
      await serverBundle({ identity: await servers.server(), clientCertificates: { accept: { clients: clients.trust } } }),
    )
    const { child, text } = await openssl('s_client', '-connect', `127.0.0.1:${port}`, '-tls1_2')
    while (!/^hello$/m.test(text())) await new Promise((resolve) => setTimeout(resolve, 5))
    child.stdin?.write('R\n')
    await once(child, 'close')
    expect(text()).toMatch(/no renegotiation/)
    expect(refusals).toEqual([])
  })

  it('must present a certificate where one is required, and may where one is accepted', async () => {
    const identity = await servers.server()
    const required = await serve(await serverBundle({ identity, clientCertificates: { require: { clients: clients.trust } } }))
    const accepted = await serve(await serverBundle({ identity, clientCertificates: { accept: { clients: clients.trust } } }))
    const between = await clients.below('Between')
    const [strangers, further] = [await Authority.root('Clients'), await between.below('Further', { authority: { pathLength: 0 } })]
    const presented: [readonly string[], required: string, accepted: string][] = [
      [[], 'ERR_TLS_PEER_MISSING', ''],
      [await files(await clients.issue()), '', ''],
      [await files(await between.issue(), between), '', ''],
      [await files(await strangers.issue()), 'ERR_TLS_PEER_UNTRUSTED', 'ERR_TLS_PEER_UNTRUSTED'],
      [await files(await between.issue()), 'ERR_TLS_PEER_UNTRUSTED', 'ERR_TLS_PEER_UNTRUSTED'],
      [await files(await further.issue(), further, between), '', ''],
      [await files(await further.issue(), further), 'ERR_TLS_PEER_UNTRUSTED', 'ERR_TLS_PEER_UNTRUSTED'],
      [await files(await clients.issue(dates(-3, -1))), 'ERR_TLS_PEER_OUT_OF_DATE', 'ERR_TLS_PEER_OUT_OF_DATE'],
      [await files(await clients.issue({ usages: ['serverAuth'] })), 'ERR_TLS_PEER_USAGE', 'ERR_TLS_PEER_USAGE'],
      [await files(await clients.issue({ usages: [] })), 'ERR_TLS_PEER_USAGE', 'ERR_TLS_PEER_USAGE'],
    ]
    for (const version of ['-tls1_2', '-tls1_3']) {
      for (const [args, ...codes] of presented) {
        for (const [at, server] of [required, accepted].entries()) {
          const before = server.refusals.length
          const text = await client(server.port, version, ...args)
          expect([/^hello$/m.test(text), server.refusals.slice(before)]).toEqual(codes[at] === '' ? [true, []] : [false, [codes[at]]])
        }
      }
    }
    expect(accepted.peers.filter((peer) => peer === undefined)).toHaveLength(2)
    expect(required.peers.filter((peer) => peer === undefined)).toHaveLength(0)
  }, 60_000)
})

describe('openssl s_server', () => {
  async function server(issued: Issued, ...args: readonly string[]): Promise<number> {
    const { text } = await openssl('s_server', '-accept', '0', '-naccept', '8', ...(await files(issued)), ...args)
    for (let port: string | undefined; ; await new Promise((resolve) => setTimeout(resolve, 5))) {
      port = /ACCEPT .*:(\d+)/.exec(text())?.[1]
      if (port !== undefined) return Number(port)
    }
  }

  const serverContent = {
    commonName: 'localhost',
    usages: ['serverAuth'],
    names: { dns: ['localhost'], ip: [Buffer.of(127, 0, 0, 1)] },
  } as const

  async function outcome(
    port: number,
    options: Partial<Parameters<typeof clientBundle>[0]> & { host?: string; serverName?: string; alpn?: readonly [string] } = {},
  ): Promise<string> {
    const { host = 'localhost', serverName, alpn, ...bundle } = options
    try {
      const socket = await connectTls(await clientBundle({ trust: servers.trust, ...bundle }), {
        host,
        port,
        ...(serverName && { serverName }),
        ...(alpn && { alpn }),
      })
      const protocol = socket.getProtocol() ?? ''
      socket.destroy()
      return protocol
    } catch (error) {
      return (error as { code?: string }).code ?? String(error)
    }
  }

  it('is believed by the name or address in its certificate, never by the common name', async () => {
    const port = await server(await servers.issue(serverContent))
    expect(await outcome(port)).toBe('TLSv1.3')
    expect(await outcome(port, { host: '127.0.0.1' })).toBe('TLSv1.3')
    expect(await outcome(port, { serverName: 'other.example' })).toBe('ERR_TLS_HOST_NAME')
    const named = await server(await servers.issue({ commonName: 'localhost', usages: ['serverAuth'] }))
    expect(await outcome(named)).toBe('ERR_TLS_HOST_NAME')
    expect(await outcome(named, { hostName: anyHostName })).toBe('TLSv1.3')
    const other = await server(
      await servers.issue({ ...serverContent, names: { dns: ['localhost.example'], ip: [Buffer.of(127, 0, 0, 2)] } }),
    )
    for (const host of ['localhost', '127.0.0.1']) expect(await outcome(other, { host })).toBe('ERR_TLS_HOST_NAME')
  })

  it('is refused with a certificate of another authority, out of date, or not for servers', async () => {
    const strangers = await Authority.root('Servers')
    for (const issued of [
      await strangers.issue(serverContent),
      await servers.issue({ ...serverContent, ...dates(-3, -1) }),
      await servers.issue({ ...serverContent, ...dates(1, 3) }),
      await servers.issue({ ...serverContent, usages: ['clientAuth'] }),
    ]) {
      const port = await server(issued)
      expect(await outcome(port)).toBe('ERR_TLS_SERVER_UNTRUSTED')
      // The weakest client believes it, which shows that nothing else was in the way.
      expect(await outcome(port, { trust: anyServer })).toBe('TLSv1.3')
      expect(await outcome(port, { hostName: anyHostName })).toBe('ERR_TLS_SERVER_UNTRUSTED')
    }
  })

  it('is not spoken to in older versions, nor without the application protocol', async () => {
    const issued = await servers.issue(serverContent)
    expect(await outcome(await server(issued, '-tls1_1', '-cipher', 'ALL@SECLEVEL=0'))).toBe('ERR_TLS_CONNECT')
    expect(await outcome(await server(issued, '-tls1_2'))).toBe('TLSv1.2')
    expect(await outcome(await server(issued, '-tls1_2'), { versions: ['TLSv1.3'] })).toBe('ERR_TLS_CONNECT')
    expect(await outcome(await server(issued), { alpn: ['h2'] })).toBe('ERR_TLS_ALPN')
    expect(await outcome(await server(issued, '-alpn', 'h2'), { alpn: ['h2'] })).toBe('TLSv1.3')
  })

  it('takes the certificate of a client', async () => {
    const identity: KeyPairSource = pair(await clients.issue())
    const port = await server(
      await servers.issue(serverContent),
      '-Verify',
      '1',
      '-verify_return_error',
      '-tls1_2',
      '-CAfile',
      (await files(clients.issued))[1],
    )
    expect(await outcome(port, { identity })).toBe('TLSv1.2')
    expect(await outcome(port)).toBe('ERR_TLS_CONNECT')
  })
})
