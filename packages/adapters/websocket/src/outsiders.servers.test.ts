import { guard, scope, type AuditEvent } from '@portcullis/core'
import { developmentTls, type DevelopmentTls } from '@portcullis/tls/development'
import { runForeign } from '@portcullis/test-servers'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { serve, sessionProtocol, type Principal, type WebSocketListener } from './index.ts'
import { revocations, tokens } from './service.test-support.ts'

/** What a client sees that shares no code with `ws` or with ours: python3-websockets. */
const script = String.raw`
import asyncio, json, ssl, sys, websockets
order = json.load(sys.stdin)
context = ssl.create_default_context(cadata=order["ca"])
seen = []

async def main():
    options = {"ssl": context, "extra_headers": order.get("headers", {}), "subprotocols": order.get("protocols") or None}
    try:
        async with websockets.connect(order["url"], **options) as socket:
            seen.append({"open": socket.subprotocol})
            tag = socket.response_headers.get("Portcullis-Session")
            for text in order.get("send", []):
                await socket.send(text.replace("TAG", tag or "none"))
            async for message in socket:
                if tag is None and message.startswith("portcullis:"):
                    tag = message.split(" ")[0]
                    for text in order.get("then", []):
                        await socket.send(text.replace("TAG", tag))
                seen.append(message.replace(tag, "TAG") if tag and isinstance(message, str) else message)
                if message == order.get("last", "bye"):
                    break
            else:
                seen.append({"closed": socket.close_code, "why": socket.close_reason})
    except websockets.exceptions.InvalidStatusCode as refused:
        seen.append({"status": refused.status_code, "challenge": refused.headers.get("www-authenticate"), "connection": refused.headers.get("connection")})
    except websockets.exceptions.ConnectionClosed as closed:
        seen.append({"closed": closed.code, "why": closed.reason})

asyncio.run(asyncio.wait_for(main(), 10))
print(json.dumps(seen))
`

let tls: DevelopmentTls
let listener: WebSocketListener<Principal>
let events: AuditEvent[] = []

beforeAll(async () => {
  tls = await developmentTls()
})
beforeEach(async () => {
  events = []
  revocations.clear()
  const policy = guard({ authenticate: tokens(), authorize: scope('orders:read'), audit: (event) => events.push(event) })
  listener = await serve(
    { tls, guard: policy, port: 0, protocols: ['orders.v1'], firstMessage: {}, limits: { maxMessageBytes: 1_000 } },
    (socket, principal) => {
      socket.send(`hello ${principal.subject}`)
      socket.on('message', (data: Buffer, isBinary) => {
        if (data.toString() === 'revoke me') revocations.get(principal.subject)?.revoke('asked for it')
        socket.send(data, { binary: isBinary })
      })
    },
  )
})
afterEach(() => listener.close())
afterAll(() => tls.close())

async function python(order: Record<string, unknown>): Promise<unknown[]> {
  const input = JSON.stringify({ url: listener.url, ca: tls.authority, ...order })
  const { status, output, said } = await runForeign('python3-websockets', 'python', ['-c', script], { input })
  if (status !== 0) throw new Error(said)
  return JSON.parse(output) as unknown[]
}
const alice = { Authorization: 'Bearer alice' }

describe('python websockets', () => {
  it('connects with a field, and exchanges messages', async () => {
    expect(await python({ headers: alice, send: ['one', 'two', 'bye'] })).toEqual([{ open: null }, 'hello alice', 'one', 'two', 'bye'])
  })

  it('connects with a sub-protocol, and is answered with the application’s', async () => {
    expect(await python({ protocols: ['bearer.alice', 'orders.v1'], send: ['bye'] })).toEqual([{ open: 'orders.v1' }, 'hello alice', 'bye'])
  })

  it.each([
    [{}, 401],
    [{ Authorization: 'Bearer mallory' }, 401],
    [{ Authorization: 'Bearer bob' }, 403],
    [{ Authorization: 'Bearer down' }, 503],
    [{ ...alice, Origin: 'https://evil.example' }, 403],
  ])('with the fields %j is refused with %i', async (headers, status) => {
    const challenge =
      status === 401
        ? expect.stringContaining('Bearer realm="tests"')
        : status === 403 && !('Origin' in headers)
          ? expect.any(String)
          : null
    expect(await python({ headers })).toEqual([{ status, challenge, connection: 'close' }])
  })

  it('is closed with 4401 when its time is over, though it is silent', async () => {
    expect(await python({ headers: { Authorization: 'Bearer alice-1' } })).toEqual([
      { open: null },
      'hello alice',
      { closed: 4401, why: 'expired' },
    ])
  })

  it('is closed with 4401 at revocation, and gets nothing after it', async () => {
    expect(await python({ headers: alice, send: ['revoke me', 'more'] })).toEqual([
      { open: null },
      'hello alice',
      { closed: 4401, why: 'revoked' },
    ])
  })

  it('renews in band', async () => {
    const frame = 'TAG {"type":"authenticate","authorization":"Bearer alice-3600"}'
    const seen = await python({ headers: { Authorization: 'Bearer alice-2', 'Portcullis-Session': '1' }, send: [frame, 'bye'] })
    // The renewal is judged while the next message is on its way.
    expect(seen).toHaveLength(4)
    expect(seen).toEqual(
      expect.arrayContaining([{ open: null }, 'hello alice', 'bye', expect.stringMatching(/^TAG \{"type":"authenticated"/)]),
    )
  })

  it('proves itself by its first message', async () => {
    const then = ['TAG {"type":"authenticate","authorization":"Bearer alice"}']
    expect(await python({ protocols: ['orders.v1', sessionProtocol], then, last: 'hello alice' })).toEqual([
      { open: 'orders.v1' },
      'TAG {"type":"authenticate"}',
      expect.stringMatching(/^TAG \{"type":"authenticated"/),
      'hello alice',
    ])
  })

  it('is closed with 1009 for a message that is too long', async () => {
    expect(await python({ headers: alice, send: ['x'.repeat(1_001)] })).toEqual([{ open: null }, 'hello alice', { closed: 1009, why: '' }])
  })
})
