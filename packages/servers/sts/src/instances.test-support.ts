import { spawn, type ChildProcess } from 'node:child_process'
import { generateKeyPairSync } from 'node:crypto'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { Agent } from 'node:https'
import { createInterface } from 'node:readline'
import { join } from 'node:path'
import { hashPassword } from '@portcullis/crypto'
import { createPki, type Pki } from '@portcullis/test-servers'
import { alicePassword, ask, basic, type Answer, type Form } from './service.test-support.ts'

/** Where an instance keeps its state. */
export type InstanceState =
  | { readonly kind: 'sqlite'; readonly file: string }
  | {
      readonly kind: 'redis'
      readonly url: string
      readonly user: string
      readonly password: string
      readonly prefix: string
      readonly caFile: string
    }
  | {
      readonly kind: 'postgres'
      readonly port: number
      readonly user: string
      readonly password: string
      readonly database: string
      readonly caFile: string
    }

/** What an instance is told, as JSON. */
export interface InstanceInit {
  readonly state: InstanceState
  readonly keyFile: string
  readonly certificateFile: string
  readonly signingKey: string
  readonly secret: string
  readonly hash: string
}

/** An instance that runs in a process of its own. */
export interface Instance {
  token(form: Form, headers?: Readonly<Record<string, string>>): Promise<Answer>
  login(): Promise<Tokens>
  refresh(token: string): Promise<Answer>
  isActive(token: string): Promise<boolean>
  revoke(token: string): Promise<Answer>
  /** SIGKILL: nothing of it runs on. */
  kill(): Promise<void>
}

export interface Tokens {
  readonly access: string
  readonly refresh: string
}

const secret = 'a secret that all of them know'
const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
const signingKey = String(privateKey.export({ format: 'pem', type: 'pkcs8' }))
let hash: Promise<string> | undefined
let pki: Pki | undefined

export async function startInstance(state: InstanceState): Promise<Instance> {
  pki ??= createPki()
  const { keyFile, certificateFile } = pki.server
  const init: InstanceInit = { state, keyFile, certificateFile, signingKey, secret, hash: await (hash ??= hashPassword(alicePassword)) }
  const script = join(import.meta.dirname, 'instance.test.run.ts')
  const conditions = ['--conditions=@portcullis/source', '--disable-warning=ExperimentalWarning']
  const child = spawn(process.execPath, [...conditions, script, JSON.stringify(init)], { stdio: ['ignore', 'pipe', 'inherit'] })
  const [line] = (await Promise.race([once(createInterface(child.stdout), 'line'), once(child, 'exit').then(() => ['exited'])])) as [string]
  if (!/^\d+$/.test(line)) throw new Error(`the instance did not start: ${line}`)
  return instanceOf(child, Number(line), readFileSync(pki.ca.certificateFile, 'utf8'))
}

function instanceOf(child: ChildProcess, port: number, ca: string): Instance {
  const agent = new Agent({ keepAlive: true, maxSockets: 16, ca })
  const shop = basic('shop', secret)
  const post = (path: string, headers: Readonly<Record<string, string>>, form: Form): Promise<Answer> =>
    ask(`https://localhost:${port}/oauth2/${path}`, { agent, headers }, form)
  const token: Instance['token'] = (form, headers = shop) => post('token', { ...shop, ...headers }, form)
  return {
    token,
    async login() {
      const { status, text, body } = await token({ grant_type: 'password', username: 'alice', password: alicePassword, audience: 'stock' })
      if (status !== 200) throw new Error(`no login: ${status} ${text}`)
      return { access: String(body['access_token']), refresh: String(body['refresh_token']) }
    },
    refresh: (refreshToken) => token({ grant_type: 'refresh_token', refresh_token: refreshToken }),
    async isActive(accessToken) {
      const { status, text, body } = await post('introspect', basic('stock', secret), { token: accessToken })
      if (status !== 200) throw new Error(`no introspection: ${status} ${text}`)
      return body['active'] === true
    },
    revoke: (refreshToken) => post('revoke', shop, { token: refreshToken }),
    async kill() {
      agent.destroy()
      if (child.exitCode !== null || child.signalCode !== null) return
      const gone = once(child, 'exit')
      child.kill('SIGKILL')
      await gone
    },
  }
}

/**
 * Lets many clients log in and refresh, kills the instance in the middle of it, and gives back every answer: of each
 * client the last one, unless a request of it was under way, whose outcome nobody knows.
 */
export async function killWhileBusy(
  instance: Instance,
  clients: number,
  answersBefore: number,
): Promise<{ readonly access: string[]; readonly refresh: string[] }> {
  const access: string[] = []
  const refresh: string[] = []
  let answers = 0
  let killed: Promise<void> | undefined
  const answered = (tokens: Tokens): Tokens => {
    access.push(tokens.access)
    if (++answers === answersBefore) killed = instance.kill()
    return tokens
  }
  const client = async (refreshes: number): Promise<void> => {
    for (;;) {
      let tokens = answered(await instance.login())
      for (let times = 0; times < refreshes; times++) {
        const { status, body } = await instance.refresh(tokens.refresh)
        if (status !== 200) return
        tokens = answered({ access: String(body['access_token']), refresh: String(body['refresh_token']) })
      }
      // Nothing is asked with it any more, so it must be good afterwards.
      refresh.push(tokens.refresh)
    }
  }
  await Promise.allSettled(Array.from({ length: clients }, (_, at) => client(at % 2 === 0 ? 0 : 3)))
  await killed
  return { access, refresh }
}
