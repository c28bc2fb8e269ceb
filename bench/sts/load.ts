/** The far end of the measurement, in a process of its own: asks for tokens when told to, one at a time on each connection. */
import { connect } from 'node:tls'

/** Opens connections to a contender, all with one request. */
export interface OpenMessage {
  readonly type: 'open'
  readonly id: number
  readonly port: number
  readonly path: string
  readonly authority: string
  readonly authorization: string
  readonly form: string
  readonly connections: number
}
/** Sends so many requests and answers when all are answered. */
export interface RunMessage {
  readonly type: 'run'
  readonly id: number
  readonly count: number
}

type Lane = () => Promise<void>
const lanes = new Map<number, readonly Lane[]>()

process.on('message', (message: OpenMessage | RunMessage) => {
  const work = message.type === 'open' ? open(message) : run(message)
  work.then(
    () => process.send?.({}),
    (error: unknown) => process.send?.({ error: String(error) }),
  )
})

async function open(message: OpenMessage): Promise<void> {
  lanes.set(message.id, await Promise.all(Array.from({ length: message.connections }, () => lane(message))))
}

async function run({ id, count }: RunMessage): Promise<void> {
  let left = count
  const drain = async (one: Lane): Promise<void> => {
    while (left-- > 0) await one()
  }
  await Promise.all((lanes.get(id) ?? []).map(drain))
}

async function lane({ port, path, authority, authorization, form }: OpenMessage): Promise<Lane> {
  const socket = connect({ port, host: '127.0.0.1', servername: 'localhost', ca: authority })
  await new Promise((resolve, reject) => socket.once('secureConnect', resolve).once('error', reject))
  socket.setNoDelay(true).setEncoding('latin1')
  const fields = `Host: localhost:${port}\r\nAuthorization: ${authorization}\r\nContent-Type: application/x-www-form-urlencoded`
  const request = `POST ${path} HTTP/1.1\r\n${fields}\r\nContent-Length: ${form.length}\r\n\r\n${form}`
  let text = ''
  let done: (() => void) | undefined
  let failed: ((error: Error) => void) | undefined
  socket.on('data', (data: string) => {
    text += data
    const end = text.indexOf('\r\n\r\n')
    if (end === -1 || text.length < end + 4 + Number(/content-length: (\d+)/i.exec(text)?.[1] ?? 0)) return
    const answer = text
    text = ''
    if (answer.startsWith('HTTP/1.1 200')) done?.()
    else failed?.(new Error(answer))
  })
  socket.on('close', () => failed?.(new Error('The server closed the connection.')))
  return () =>
    new Promise((resolve, reject) => {
      if (socket.destroyed) return reject(new Error('The server has closed the connection.'))
      done = resolve
      failed = reject
      socket.write(request)
    })
}
