import { UnavailableError } from '@portcullis/core'
import type { Secret } from '@portcullis/core'
import type { Socket } from 'node:net'
import type { LdapErrorCode } from './errors.ts'

/** A question of which there is one at a time, and its answer. */
interface Question {
  readonly request: Buffer
  /** The tag of the one operation that answers it. */
  readonly answeredBy: number
  readonly faultCode: LdapErrorCode
}

// There is never a second question under way, so the number tells answers from notices only.
const messageId = 1

/** Asks for StartTLS (RFC 4511 section 4.14.1). */
export function startTlsQuestion(): Question {
  return {
    request: message(element(0x77, element(0x80, Buffer.from('1.3.6.1.4.1.1466.20037')))),
    answeredBy: 0x78,
    faultCode: 'ERR_LDAP_STARTTLS',
  }
}

/** Binds with a name and a password, version 3 (RFC 4511 section 4.2). */
export function bindQuestion(dn: string, password: Secret): Question {
  const version = element(0x02, Buffer.from([3]))
  return {
    request: message(element(0x60, version, element(0x04, Buffer.from(dn)), element(0x80, Buffer.from(password.reveal())))),
    answeredBy: 0x61,
    faultCode: 'ERR_LDAP_PROTOCOL',
  }
}

/**
 * Asks one question on a connection on which nothing else goes on, and returns the result code of its answer.
 *
 * Anything but the one answer, whole and alone, is an error. The library reads answers leniently: to it, one without
 * a result code is a success. And what comes behind an agreement to StartTLS was sent in the clear, by anybody, and must
 * not be taken for something that came encrypted (RFC 4511 section 4.14.2 allows nothing there).
 *
 * Throws `ERR_LDAP_TIMEOUT`, `ERR_LDAP_UNREACHABLE`, and the question's own code for an answer that is none. The socket
 * is paused afterwards.
 */
export async function exchange(socket: Socket, question: Question, timeoutMs: number): Promise<number> {
  const answer = await askFor(socket, question, timeoutMs)
  const code = resultCodeIn(answer, question.answeredBy)
  if (code === undefined) throw new UnavailableError(question.faultCode, 'The directory answered something else than was asked.')
  return code
}

// A result code and three short texts.
const maxAnswerBytes = 16_384

function askFor(socket: Socket, { request, faultCode }: Question, timeoutMs: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    let received: Buffer = Buffer.alloc(0)
    const settle = (): void => {
      clearTimeout(timeout)
      socket.off('data', onData).off('close', onClose).off('end', onClose).off('error', onError).pause()
    }
    const fail = (code: LdapErrorCode, why: string, cause?: unknown): void => {
      settle()
      reject(new UnavailableError(code, { message: `The directory ${why}.`, ...(cause !== undefined && { cause }) }))
    }
    const timeout = setTimeout(() => fail('ERR_LDAP_TIMEOUT', `did not answer within ${timeoutMs} ms`), timeoutMs)
    const onClose = (): void => fail('ERR_LDAP_UNREACHABLE', 'closed the connection instead of answering')
    const onError = (cause: unknown): void => fail('ERR_LDAP_UNREACHABLE', 'was lost before it answered', cause)
    const onData = (data: Buffer): void => {
      received = Buffer.concat([received, data])
      // What does not begin like a message need not be waited for.
      const whole = received[0] === 0x30 ? readElement(received, 0) : undefined
      if (whole === 'incomplete' && received.length < maxAnswerBytes) return
      if (typeof whole !== 'object' || whole.end > maxAnswerBytes || received.length > whole.end)
        fail(faultCode, 'sent something else than one answer')
      else if (received.length === whole.end) {
        settle()
        resolve(received)
      }
    }
    socket.on('data', onData).on('close', onClose).on('end', onClose).on('error', onError)
    if (socket.destroyed) onClose()
    else socket.resume().write(request)
  })
}

/** LDAPMessage { messageID, operation { resultCode, … }, … } (RFC 4511 sections 4.1.1 and 4.1.9). */
function resultCodeIn(answer: Buffer, operation: number): number | undefined {
  const whole = within(answer, 0, answer.length, 0x30)
  const id = whole && within(answer, whole.start, whole.end, 0x02)
  const result = whole && id && within(answer, id.end, whole.end, operation)
  const code = result && within(answer, result.start, result.end, 0x0a)
  return id !== undefined && valueOf(answer, id) === messageId && code !== undefined ? valueOf(answer, code) : undefined
}

interface Element {
  readonly tag: number
  readonly start: number
  readonly end: number
}

function within(bytes: Buffer, at: number, limit: number, tag: number): Element | undefined {
  const found = readElement(bytes, at)
  return typeof found === 'object' && found.tag === tag && found.end <= limit ? found : undefined
}

function readElement(bytes: Buffer, at: number): Element | 'incomplete' | undefined {
  const tag = bytes[at]
  const first = bytes[at + 1]
  if (tag === undefined || first === undefined) return 'incomplete'
  if (first < 0x80) return { tag, start: at + 2, end: at + 2 + first }
  const size = first - 0x80
  // Four octets are the most that any server writes; none (0x80) is the indefinite form, which LDAP forbids.
  if (size === 0 || size > 4) return undefined
  const start = at + 2 + size
  return bytes.length < start ? 'incomplete' : { tag, start, end: start + bytes.readUIntBE(at + 2, size) }
}

function valueOf(bytes: Buffer, { start, end }: Element): number | undefined {
  return end > start && end - start <= 4 ? bytes.readIntBE(start, end - start) : undefined
}

function message(operation: Buffer): Buffer {
  return element(0x30, element(0x02, Buffer.from([messageId])), operation)
}

function element(tag: number, ...parts: readonly Buffer[]): Buffer {
  const content = Buffer.concat(parts)
  const length = content.length < 0x80 ? [content.length] : [0x82, content.length >>> 8, content.length & 0xff]
  return Buffer.concat([Buffer.from([tag, ...length]), content])
}
