import { createServer as createPlainServer } from 'node:http'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'

import fastifyJwt from '@fastify/jwt'
import { guard, scope } from '@portcullis/http'
import { protect as protectExpress } from '@portcullis/http/express'
import { protect as protectFastify } from '@portcullis/http/fastify'
import { jwt } from '@portcullis/jwt'
import { secureServerOptions } from '@portcullis/tls'
import express, { type Express, type RequestHandler } from 'express'
import { auth, requiredScopes } from 'express-oauth2-jwt-bearer'
import Fastify, { type FastifyInstance, type onRequestAsyncHookHandler, type onRequestHookHandler } from 'fastify'
import passport from 'passport'
import { ExtractJwt, Strategy } from 'passport-jwt'

import type { RunOptions, Table } from '../table.ts'
import { columns, rowsOf } from '../windows.ts'
import { measure, type Contender } from './measure.ts'
import { body, makeScene, type Scene } from './scene.ts'

const patienceMs = 3_600_000

function guarding({ publicKey, issuer, audience }: Scene) {
  return guard({
    authenticate: jwt({ issuer, audience, keys: { publicKey, keyId: 'k1', algorithms: ['RS256'] } }),
    authorize: scope('orders:read'),
  })
}

async function overExpress(name: string, { tls }: Scene, ...middleware: RequestHandler[]): Promise<Contender> {
  const app: Express = express()
  app.get('/orders/:id', ...middleware, (_request, response) => {
    response.setHeader('cache-control', 'no-store')
    response.type('application/json').end(body)
  })
  const server = createServer(secureServerOptions(tls), app)
  server.keepAliveTimeout = patienceMs
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    name,
    version: 'http/1.1',
    port: (server.address() as AddressInfo).port,
    close: async () => server.close().closeAllConnections(),
  }
}

async function overFastify(
  name: string,
  { tls }: Scene,
  prepare: (app: FastifyInstance) => Promise<{ readonly onRequest?: onRequestHookHandler | onRequestAsyncHookHandler }>,
): Promise<Contender> {
  const app = Fastify({
    https: secureServerOptions(tls),
    keepAliveTimeout: patienceMs,
    forceCloseConnections: true,
  }) as unknown as FastifyInstance
  const hooks = await prepare(app)
  app.get('/orders/:id', hooks, (_request, reply) => {
    reply.header('cache-control', 'no-store').type('application/json').send(body)
  })
  await app.listen({ port: 0, host: '127.0.0.1' })
  return { name, version: 'http/1.1', port: (app.server.address() as AddressInfo).port, close: () => app.close() }
}

/** A key set at an address, for the library that takes its keys from nowhere else. */
async function publish({ publicKey }: Scene): Promise<{ readonly uri: string; readonly close: () => void }> {
  const text = JSON.stringify({ keys: [{ ...publicKey.export({ format: 'jwk' }), kid: 'k1', alg: 'RS256', use: 'sig' }] })
  const server = createPlainServer((_request, response) => response.setHeader('content-type', 'application/json').end(text))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return { uri: `http://127.0.0.1:${(server.address() as AddressInfo).port}/jwks`, close: () => server.close() }
}

/** The guard as middleware beside the usual middleware of the same framework, all verifying the same RS256 tokens. */
export async function run({ quick }: RunOptions): Promise<Table> {
  const scene = await makeScene()
  const { issuer, audience, publicKey } = scene
  const pem = publicKey.export({ type: 'spki', format: 'pem' }).toString()
  const published = await publish(scene)
  const own = guarding(scene)
  const strategies = new passport.Passport()
  strategies.use(
    new Strategy(
      { jwtFromRequest: ExtractJwt.fromAuthHeaderAsBearerToken(), secretOrKey: pem, algorithms: ['RS256'], issuer, audience },
      (claims: { readonly scope?: string }, done) => done(null, claims.scope?.split(' ').includes('orders:read') === true ? claims : false),
    ),
  )
  const contenders = [
    await overExpress('express', scene),
    await overExpress('express, protect(guard)', scene, protectExpress(own)),
    await overExpress(
      'express, express-oauth2-jwt-bearer',
      scene,
      auth({ issuer, audience, jwksUri: published.uri, tokenSigningAlg: 'RS256' }),
      requiredScopes('orders:read'),
    ),
    await overExpress('express, passport-jwt', scene, strategies.authenticate('jwt', { session: false }) as RequestHandler),
    await overFastify('fastify', scene, async () => ({})),
    await overFastify('fastify, protect(guard)', scene, async () => ({ onRequest: protectFastify(own) })),
    await overFastify('fastify, @fastify/jwt with its cache', scene, async (app) => {
      await app.register(fastifyJwt, {
        secret: { public: pem },
        verify: { algorithms: ['RS256'], allowedIss: issuer, allowedAud: audience, cache: 10_000 },
      })
      const onRequest: onRequestAsyncHookHandler = async (request, reply) => {
        const claims = await request.jwtVerify<{ readonly scope?: string }>()
        if (claims.scope?.split(' ').includes('orders:read') !== true) await reply.code(403).send()
      }
      return { onRequest }
    }),
  ]
  try {
    const costs = await measure(contenders, scene.requests, quick ? 12 : 120)
    return {
      title: 'The guard in Express and Fastify',
      note: 'Issuer, audience, expiry and one scope are checked by all. The ratio is to the same framework without any check.',
      columns,
      rows: rowsOf(
        costs,
        contenders.map(({ name }) => ({ name, base: name.startsWith('express') ? 'express' : 'fastify' })),
      ),
    }
  } finally {
    published.close()
  }
}
