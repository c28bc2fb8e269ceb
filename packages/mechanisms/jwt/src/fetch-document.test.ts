import { createServer, type RequestListener, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, describe, expect, it } from 'vitest'
import { fetchDocument } from './fetch-document.ts'

const servers: Server[] = []

async function listen(listener: RequestListener): Promise<URL> {
  const server = createServer(listener)
  servers.push(server)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}/jwks`)
}

afterEach(() => {
  for (const server of servers.splice(0)) {
    server.closeAllConnections()
    server.close()
  }
})

const limits = { timeoutMs: 2_000, maxBytes: 1_000 }

describe('a document, by the fetch of the runtime over real sockets', () => {
  it('is what the server sent', async () => {
    const url = await listen((request, response) => response.end(`${request.method} ${request.headers.accept}`))
    expect(await fetchDocument(fetch, url, limits)).toBe('GET application/jwk-set+json, application/json')
  })

  it('is followed within its origin, a few times', async () => {
    const url = await listen((request, response) => {
      const hops = Number(request.url?.slice('/jwks'.length) ?? '0')
      if (hops >= 3) response.end('there')
      else response.writeHead(302, { location: `/jwks${hops + 1}` }).end()
    })
    expect(await fetchDocument(fetch, url, limits)).toBe('there')
    const endless = await listen((_, response) => response.writeHead(308, { location: '/jwks' }).end('moved'))
    await expect(fetchDocument(fetch, endless, limits)).rejects.toThrow('redirected more than 3 times')
  })

  it('is not followed to another origin', async () => {
    let asked = 0
    const other = await listen((_, response) => {
      asked++
      response.end('evil')
    })
    const url = await listen((_, response) => response.writeHead(307, { location: other.href }).end())
    await expect(fetchDocument(fetch, url, limits)).rejects.toThrow('another origin')
    expect(asked).toBe(0)
  })

  it('has a bounded size, whatever the server said it would be', async () => {
    const announced = await listen((_, response) => response.writeHead(200, { 'content-length': 1_001 }).end('x'.repeat(1_001)))
    await expect(fetchDocument(fetch, announced, limits)).rejects.toThrow('more than 1000 bytes')
    const endless = await listen((_, response) => {
      const write = (): void => void (response.destroyed || (response.write('x'.repeat(100)), setTimeout(write, 1)))
      write()
    })
    await expect(fetchDocument(fetch, endless, limits)).rejects.toThrow('more than 1000 bytes')
    expect(await fetchDocument(fetch, await listen((_, response) => response.end('x'.repeat(1_000))), limits)).toHaveLength(1_000)
  })

  it('is waited for a bounded time: for the connection, the head and each part of the body', async () => {
    for (const answer of [
      () => undefined,
      (_: unknown, response: { write(text: string): unknown }) => response.write('{'),
    ] as RequestListener[]) {
      const url = await listen(answer)
      await expect(fetchDocument(fetch, url, { ...limits, timeoutMs: 100 })).rejects.toMatchObject({ name: 'TimeoutError' })
    }
  })

  it('is well-formed UTF-8, without a byte order mark that vanishes', async () => {
    await expect(fetchDocument(fetch, await listen((_, response) => response.end(Buffer.from([0x7b, 0xff]))), limits)).rejects.toThrow(
      TypeError,
    )
    expect(await fetchDocument(fetch, await listen((_, response) => response.end('\u{feff}{}')), limits)).toBe('\u{feff}{}')
  })
})
