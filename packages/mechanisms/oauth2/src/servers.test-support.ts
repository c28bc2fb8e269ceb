import { once } from 'node:events'
import { request as plainRequest, type IncomingMessage, type ServerResponse } from 'node:http'
import { createServer, request as secureRequest, type Server } from 'node:https'
import type { AddressInfo } from 'node:net'
import type { TLSSocket } from 'node:tls'
import type { X509Certificate } from 'node:crypto'
import { certificateThumbprint } from '@portcullis/crypto'
import { attach, secureServerOptions, type ServerTlsBundle } from '@portcullis/tls'
import { developmentTls, type DevelopmentTls } from '@portcullis/tls/development'
import { Provider, type Configuration } from 'oidc-provider'

/** An https server on loopback whose answers a test decides. */
export interface TestServer extends AsyncDisposable {
  readonly url: string
  /** What came, oldest first. */
  readonly requests: readonly {
    readonly path: string
    readonly headers: IncomingMessage['headers']
    readonly form: URLSearchParams
    readonly thumbprint: string | undefined
  }[]
  answer: (form: URLSearchParams, request: IncomingMessage, response: ServerResponse) => void
  /** How many are open. */
  connections(): Promise<number>
  close(): Promise<void>
}

export function json(response: ServerResponse, status: number, body: unknown, headers: Record<string, string> = {}): void {
  response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(body))
}

/** Answers token requests with a new token each time: `token-1`, `token-2`, … */
export function issuing(content: Record<string, unknown> = {}): TestServer['answer'] {
  let issued = 0
  return (_form, _request, response) =>
    json(response, 200, { access_token: `token-${++issued}`, token_type: 'Bearer', expires_in: 300, ...content })
}

export async function testServer(tls: ServerTlsBundle, answer: TestServer['answer'] = issuing(), port = 0): Promise<TestServer> {
  const requests: TestServer['requests'][number][] = []
  const server = createServer(secureServerOptions(tls), (request, response) => {
    void (async () => {
      const chunks: Buffer[] = []
      for await (const chunk of request) chunks.push(chunk as Buffer)
      const form = new URLSearchParams(Buffer.concat(chunks).toString('utf8'))
      requests.push({ path: request.url ?? '', headers: request.headers, form, thumbprint: thumbprintOf(request) })
      self.answer(form, request, response)
    })().catch(() => response.destroy())
  })
  attach(server, tls)
  const url = await listen(server, port)
  const self: TestServer = {
    url,
    requests,
    answer,
    connections: () => new Promise((resolve, reject) => server.getConnections((error, count) => (error ? reject(error) : resolve(count)))),
    close: () => close(server),
    [Symbol.asyncDispose]: () => close(server),
  }
  return self
}

async function listen(server: Server, port: number): Promise<string> {
  await once(server.listen(port, '127.0.0.1'), 'listening')
  return `https://localhost:${(server.address() as AddressInfo).port}`
}

async function close(server: Server): Promise<void> {
  if (!server.listening) return
  server.close()
  server.closeAllConnections()
  await once(server, 'close')
}

function certificateOf(request: IncomingMessage): X509Certificate | undefined {
  return (request.socket as TLSSocket).getPeerX509Certificate()
}

function thumbprintOf(request: IncomingMessage): string | undefined {
  const certificate = certificateOf(request)
  return certificate && certificateThumbprint(certificate)
}

/** A foreign authorization server: `oidc-provider`, as it comes, over https with a certificate of our development authority. */
export interface ForeignServer extends AsyncDisposable {
  readonly issuer: string
  readonly provider: Provider
  readonly tls: DevelopmentTls
}

export async function foreignServer(configuration: Configuration): Promise<ForeignServer> {
  const tls = await developmentTls({ clientCertificates: 'accept' })
  let handle: ReturnType<Provider['callback']> = () => Promise.resolve()
  const server = createServer(secureServerOptions(tls), (request, response) => void handle(request, response))
  attach(server, tls)
  const issuer = await listen(server, 0)
  const provider = new Provider(issuer, configuration)
  const callback = provider.callback()
  handle = (request, response) =>
    request.url?.startsWith('/interaction/') === true
      ? agree(provider, request as IncomingMessage, response as ServerResponse)
      : callback(request as IncomingMessage, response as ServerResponse)
  return { issuer, provider, tls, [Symbol.asyncDispose]: () => close(server) }
}

/** The client certificate of a request to {@link foreignServer}, as its configuration asks for it. */
export function peerCertificate(context: { readonly req: IncomingMessage }): X509Certificate | undefined {
  return certificateOf(context.req)
}

/** A browser whose user agrees to everything: keeps cookies, follows redirects, sends the forms that it is shown. */
export function agreeableBrowser(tls: DevelopmentTls): (url: string) => Promise<void> {
  const jar = new Map<string, string>()
  const visit = async (url: URL, form?: URLSearchParams): Promise<void> => {
    const isLoopback = url.protocol === 'http:'
    const outgoing = isLoopback
      ? plainRequest(url)
      : secureRequest(url, {
          ca: tls.authority,
          agent: false,
          method: form === undefined ? 'GET' : 'POST',
          headers: {
            cookie: [...jar].map(([name, value]) => `${name}=${value}`).join('; '),
            ...(form !== undefined && { 'content-type': 'application/x-www-form-urlencoded' }),
          },
        })
    outgoing.end(form === undefined ? undefined : String(form))
    const [response] = (await once(outgoing, 'response')) as [IncomingMessage]
    for (const cookie of response.headers['set-cookie'] ?? []) {
      const [pair = ''] = cookie.split(';', 1)
      jar.set(pair.slice(0, pair.indexOf('=')), pair.slice(pair.indexOf('=') + 1))
    }
    const text = await readText(response)
    const { location } = response.headers
    if (location !== undefined) return visit(new URL(location, url))
    const action = /<form[^>]*action="([^"]+)"/.exec(text)?.[1]
    if (action === undefined) {
      if (response.statusCode !== 200) throw new Error(`${url.href} answered ${response.statusCode}: ${text.slice(0, 500)}`)
      return undefined
    }
    const fields = [...text.matchAll(/<input[^>]*name="([^"]+)"[^>]*value="([^"]*)"/g)].map(
      ([, name = '', value = '']): [string, string] => [name, value],
    )
    return visit(new URL(action, url), new URLSearchParams([...fields, ['confirm', 'yes']]))
  }
  return (url) => visit(new URL(url))
}

async function readText(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  for await (const chunk of response) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks).toString('utf8')
}

/** Logs everybody in as `alice` and grants what was asked for: the part that `oidc-provider` leaves to its users. */
async function agree(provider: Provider, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const { params, prompt, session } = await provider.interactionDetails(request, response)
  const accountId = session?.accountId ?? 'alice'
  const { client_id: clientId, scope } = params as Readonly<Record<string, string | undefined>>
  const grant = new provider.Grant({ accountId, ...(clientId !== undefined && { clientId }) })
  grant.addOIDCScope(scope ?? '')
  for (const resource of [params['resource']].flat()) if (typeof resource === 'string') grant.addResourceScope(resource, 'orders:read')
  const result = prompt.name === 'login' ? { login: { accountId } } : { consent: { grantId: await grant.save() } }
  await provider.interactionFinished(request, response, result, { mergeWithLastSubmission: true })
}
