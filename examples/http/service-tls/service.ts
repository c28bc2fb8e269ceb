import { everyone, guard, json, serve } from '@portcullis/http'
import { developmentTls } from '@portcullis/http/development'

/** An HTTPS service that is open to everyone. */
export async function start() {
  const tls = await developmentTls()
  const server = await serve({ tls, port: 0, guard: guard({ authenticate: everyone() }) }, () => json({ hello: 'world' }))
  return { tls, server, origin: server.origin }
}
