import { parseAuthorization, type AccessRequest, type ReportedEvent } from '@portcullis/core'
import { hashingLimiter, type HashingLimiter, type HashingRequest } from '@portcullis/crypto'
import { randomBytes, scryptSync } from 'node:crypto'

/** A PHC string that costs next to nothing: these tests look at what is done, not at how strong it is. */
export function quickHash(password: string, costLog2 = 4): string {
  const salt = randomBytes(16)
  const tag = scryptSync(password, salt, 32, { N: 2 ** costLog2, r: 8, p: 1 })
  const text = (bytes: Buffer): string => bytes.toString('base64').replace(/=+$/, '')
  return `$scrypt$ln=${costLog2},r=8,p=1$${text(salt)}$${text(tag)}`
}

/** A limiter that counts the work it lets through, and for whom. */
export class CountingLimiter implements HashingLimiter {
  readonly inner = hashingLimiter({ concurrency: 1, queue: 100, perSource: 100 })
  readonly sources: (string | undefined)[] = []
  get running(): number {
    return this.inner.running
  }
  get waiting(): number {
    return this.inner.waiting
  }
  get count(): number {
    return this.sources.length
  }
  run<T>(work: () => Promise<T>, request?: HashingRequest): Promise<T> {
    this.sources.push(request?.source)
    return this.inner.run(work, request)
  }
}

/** A request with Basic credentials, as it comes over HTTPS. */
export function login(username: string, password: string, remoteAddress = '192.0.2.7'): AccessRequest {
  const credential = parseAuthorization(`Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`)
  return {
    credentials: [credential],
    action: 'GET',
    resource: '/',
    attributes: {},
    channel: { from: 'peer', protocol: 'https', secure: true, remoteAddress },
  }
}

/** Waits until something is so; fails after some seconds. */
export async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  for (let left = 1000; !(await condition()); left--) {
    if (left === 0) throw new Error('It never came to be.')
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}

/** Collects what a store reports. */
export function collector(): { events: ReportedEvent[]; report: (event: ReportedEvent) => void } {
  const events: ReportedEvent[] = []
  return { events, report: (event) => void events.push(event) }
}
