import { generateKeyPairSync, hash, randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { guard, secret, type AccessRequest } from '@portcullis/core'
import { manualClock } from '@portcullis/core/testing'
import { jwkThumbprint, publicJwk } from '@portcullis/crypto'
import { accessTokenJudge, createSigner, issue } from '@portcullis/jwt'
import { authorizationServer, clientSecretBasic, dpopTokens, introspection } from '@portcullis/oauth2'
import { secureServerOptions, tlsBundle } from '@portcullis/tls'
import { developmentTls } from '@portcullis/tls/development'
import { afterAll, describe, expect, it } from 'vitest'
import { policyFrom } from './index.ts'
import { bearer, judged, request } from './judged.test-support.ts'

const directory = mkdtempSync(join(tmpdir(), 'portcullis-config-'))
afterAll(() => rmSync(directory, { recursive: true }))
function written(name: string, content: string): string {
  writeFileSync(join(directory, name), content)
  return name
}

describe('introspection', () => {
  it('at a server with a certificate of its own authority', async () => {
    const tls = await developmentTls()
    const authority = written('authority.crt', tls.authority)
    const seen: (string | undefined)[] = []
    const server = createServer(secureServerOptions(tls), (asked, response) => {
      seen.push(asked.headers.authorization)
      asked.setEncoding('utf8').on('data', (body: string) => {
        const active = body.includes('good')
        response.setHeader('content-type', 'application/json')
        response.end(
          JSON.stringify(
            active ? { active, iss: url, sub: 'alice', aud: 'orders', scope: 'a', exp: Math.floor(Date.now() / 1000) + 60 } : { active },
          ),
        )
      })
    })
    await once(server.listen(0, '127.0.0.1'), 'listening')
    const url = `https://localhost:${(server.address() as AddressInfo).port}`
    const endpoints = { introspection: `${url}/introspect` }
    await using policy = await policyFrom(
      {
        authenticate: 'opaque',
        mechanisms: {
          opaque: {
            introspection: {
              audience: 'orders',
              cache: 'none',
              server: { issuer: url, endpoints, tls: { trust: { pemFile: authority } } },
              client: { method: 'client_secret_basic', clientId: 'orders', clientSecret: 'shh' },
            },
          },
        },
      },
      { directory },
    )
    await using bundle = {
      value: await tlsBundle({ side: 'client', trust: { pem: tls.authority } }),
      [Symbol.asyncDispose]: async () => bundle.value.close(),
    }
    const byHand = introspection({
      name: 'opaque',
      audience: 'orders',
      cache: 'none',
      server: authorizationServer({ issuer: url, endpoints, tls: bundle.value }),
      client: clientSecretBasic({ clientId: 'orders', clientSecret: 'shh' }),
    })
    const requests = [request(), request(bearer('good')), request(bearer('bad'))]
    const outcomes: string[] = []
    for (const asked of requests) {
      const [one, two] = [await policy.guard.decide(asked), await guard({ authenticate: byHand }).decide(asked)]
      expect([one.outcome, one.code]).toEqual([two.outcome, two.code])
      outcomes.push(one.code ?? one.outcome)
    }
    expect(outcomes).toEqual(['ERR_CREDENTIAL_MISSING', 'allow', 'ERR_INTROSPECTION_INACTIVE'])
    expect(new Set(seen)).toEqual(new Set([`Basic ${Buffer.from('orders:shh').toString('base64')}`]))
    server.closeAllConnections()
    server.close()
    tls.close()
  })
})

describe('dpopTokens', () => {
  const issuer = 'https://sts.example'
  const clock = manualClock()
  const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const client = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const accessToken = (key = client.publicKey) =>
    issue({
      issuer,
      audience: 'orders',
      subject: 'alice',
      claims: { cnf: { jkt: jwkThumbprint(key) } },
      key: { privateKey: ec.privateKey },
      clock,
    })
  const proving = async (token: string, uri: string): Promise<AccessRequest> => {
    const signer = createSigner({ key: { privateKey: client.privateKey }, typ: 'dpop+jwt', header: { jwk: publicJwk(client.publicKey) } })
    const proof = await signer.sign({
      htm: 'GET',
      htu: uri,
      iat: Math.floor(clock.now() / 1000),
      jti: randomUUID(),
      ath: hash('sha256', token, 'base64url'),
    })
    return {
      ...request({ kind: 'dpop', carrier: 'authorization', token: secret(token), proof }),
      binding: { method: 'GET', uri: 'https://orders.example/' },
    }
  }

  it('over tokens that are JWTs', async () => {
    const policy = await policyFrom(
      {
        authenticate: 'bound',
        mechanisms: {
          bound: {
            dpopTokens: {
              realm: 'orders',
              algorithms: ['ES256'],
              tokens: { jwt: { issuer, audience: 'orders', keys: { publicKey: { jwk: ec.publicKey.export({ format: 'jwk' }) } } } },
            },
          },
        },
      },
      { clock },
    )
    const byHand = dpopTokens({
      name: 'bound',
      realm: 'orders',
      algorithms: ['ES256'],
      tokens: accessTokenJudge({ issuer, audience: 'orders', keys: { publicKey: ec.publicKey }, clock }),
    })
    const good = await accessToken()
    const requests = [
      request(),
      request(bearer(good)),
      await proving(good, 'https://orders.example/'),
      await proving(good, 'https://other.example/'),
      await proving(await accessToken(ec.publicKey), 'https://orders.example/'),
    ]
    expect(await judged(policy.guard, byHand, requests, clock)).toEqual([
      'ERR_CREDENTIAL_MISSING',
      'ERR_CREDENTIAL_MISSING',
      'allow',
      expect.stringMatching(/^ERR_DPOP_/),
      expect.stringMatching(/^ERR_DPOP_/),
    ])
  })

  it('with nonces, and an option at its place', async () => {
    const tokens = { jwt: { issuer, audience: 'orders', keys: { publicKey: { jwk: ec.publicKey.export({ format: 'jwk' }) } } } }
    const bound = (changes: object) =>
      policyFrom({ authenticate: 'b', mechanisms: { b: { dpopTokens: { tokens, ...changes } } } }, { clock })
    const policy = await bound({ nonces: { secret: 'pB2vQm1c7ZkXw0Tn4LrYsEpB2vQm1c7ZkXw0Tn4LrYsE', lifetimeSeconds: 60 } })
    const decision = await policy.guard.decide(await proving(await accessToken(), 'https://orders.example/'))
    expect([decision.code, decision.advice?.error]).toEqual(['ERR_DPOP_NONCE', 'use_dpop_nonce'])
    await expect(bound({ nonces: { secret: 'short' } })).rejects.toMatchObject({
      message: expect.stringMatching(/^mechanisms\.b\.dpopTokens\.nonces: /),
    })
    await expect(bound({ tokens: { jwt: { ...tokens.jwt, audiance: 'x' } } })).rejects.toMatchObject({
      message: expect.stringMatching(/^mechanisms\.b\.dpopTokens\.tokens\.jwt has no option "audiance"/),
    })
    await expect(bound({ tokens: {} })).rejects.toMatchObject({ code: 'ERR_OPTION_MISSING' })
  })
})
