import { formatChallenges, type Advice, type EndReason, type Reason, type Refusal } from '@portcullis/core'
import type { HttpErrorCode } from './errors.ts'

interface Answer {
  readonly status: number
  readonly title: string
  /** For the peer; says nothing that depends on the credential. */
  readonly detail: string
}

/** How each reason is answered (RFC 9110 section 15, RFC 6750 section 3.1, RFC 6585 section 4). */
const answers: Readonly<Record<Reason, Answer>> = {
  missing: { status: 401, title: 'Unauthorized', detail: 'This resource asks for credentials that were not presented.' },
  malformed: { status: 400, title: 'Bad Request', detail: 'The credentials cannot be read, or there are too many of them.' },
  invalid: { status: 401, title: 'Unauthorized', detail: 'The credentials were not accepted.' },
  stepUp: { status: 401, title: 'Unauthorized', detail: 'A stronger or more recent authentication is needed.' },
  insufficientScope: { status: 403, title: 'Forbidden', detail: 'The credentials do not carry the scope that is needed.' },
  forbidden: { status: 403, title: 'Forbidden', detail: 'This is not permitted.' },
  outage: { status: 503, title: 'Service Unavailable', detail: 'The request cannot be judged at the moment.' },
  overload: { status: 429, title: 'Too Many Requests', detail: 'There are too many requests at the moment.' },
  internal: { status: 500, title: 'Internal Server Error', detail: 'The request failed for a reason that is not its own.' },
}

/**
 * What happens to an answer that is still being sent when its session ends. HTTP has no words for it: the content is cut
 * short, so that the peer sees an incomplete message (RFC 9112 section 8) or a stream error (RFC 9113 section 5.4.2).
 */
export const endings: Readonly<Record<EndReason, 'cut' | 'leave'>> = {
  expired: 'cut',
  revoked: 'cut',
  policy: 'cut',
  subjectChanged: 'cut',
  reauthenticationLimit: 'cut',
  closed: 'leave',
  shutdown: 'cut',
}

/** What is answered before or beside the guard. */
const protocolAnswers = {
  ERR_HTTP_TARGET_MALFORMED: { status: 400, title: 'Bad Request', detail: 'The request target cannot be read in one way only.' },
  ERR_HTTP_METHOD_OVERRIDE: { status: 400, title: 'Bad Request', detail: 'The method cannot be overridden.' },
  ERR_HTTP_REQUEST_MALFORMED: { status: 400, title: 'Bad Request', detail: 'The request cannot be read.' },
  ERR_HTTP_CHANNEL_INSECURE: { status: 403, title: 'Forbidden', detail: 'This service answers over TLS only.' },
  ERR_HTTP_ROUTE_UNMATCHED: { status: 404, title: 'Not Found', detail: 'There is nothing here.' },
  ERR_HTTP_METHOD_UNMATCHED: { status: 405, title: 'Method Not Allowed', detail: 'The resource does not take this method.' },
  ERR_HTTP_REQUEST_TIMEOUT: { status: 408, title: 'Request Timeout', detail: 'The request did not arrive in time.' },
  ERR_HTTP_CONTENT_TOO_LARGE: { status: 413, title: 'Content Too Large', detail: 'The content is larger than this service takes.' },
  ERR_HTTP_TARGET_TOO_LONG: { status: 414, title: 'URI Too Long', detail: 'The request target is longer than this service takes.' },
  ERR_HTTP_FIELDS_TOO_LARGE: {
    status: 431,
    title: 'Request Header Fields Too Large',
    detail: 'The header fields are larger than this service takes.',
  },
  ERR_HTTP_HANDLER_FAILED: answers.internal,
  ERR_HTTP_METHOD_REFUSED: { status: 501, title: 'Not Implemented', detail: 'This method is not handled.' },
} as const satisfies Partial<Record<HttpErrorCode, Answer>>

/** The codes that are answered by the listener itself. */
export type AnsweredCode = keyof typeof protocolAnswers

/** A complete answer: status, fields as names and values in turn, and content. */
export interface WireAnswer {
  readonly status: number
  /** Fresh for each answer: who sends them may add to them. */
  readonly headers: string[]
  readonly content: string
}

const noFields: readonly string[] = Object.freeze([])
// Without a word from whoever is down: soon enough for a person, late enough for a server.
const defaultRetryAfterSeconds = 5

/** The answer to a refusal of the guard: status, challenges, `Retry-After`, and a problem document (RFC 9457) with nothing internal in it. */
export function refusalAnswer(refusal: Refusal): WireAnswer {
  const { reason, advice, offers } = refusal
  const headers = [...acknowledgement(advice)]
  const challenges = reason === 'outage' || reason === 'overload' || reason === 'internal' ? [] : formatChallenges(offers, reason, advice)
  // RFC 9110 section 15.5.3: 401 must name a scheme. Where none can be offered (a client certificate), it is 403.
  const answer =
    answers[reason].status === 401 && challenges.length === 0 ? { ...answers[reason], status: 403, title: 'Forbidden' } : answers[reason]
  // One field each: clients that read one challenge per field exist, and RFC 9110 section 11.6.1 allows both.
  if (answer.status !== 403 || reason === 'insufficientScope')
    for (const challenge of challenges) headers.push('www-authenticate', challenge)
  if (refusal.outcome === 'unavailable' && reason !== 'internal')
    headers.push(
      'retry-after',
      String(refusal.retryAfterMs === undefined ? defaultRetryAfterSeconds : Math.max(1, Math.ceil(refusal.retryAfterMs / 1000))),
    )
  return problem(answer, headers)
}

/** The answer to what never gets as far as the guard, or finds no handler behind it. */
export function protocolAnswer(code: AnsweredCode, headers: readonly string[] = noFields): WireAnswer {
  return problem(protocolAnswers[code], headers)
}

/** What an answer must carry along because of the decision (RFC 9449 section 8.2), as fields. */
export function acknowledgement(advice: Advice | undefined): readonly string[] {
  return advice?.nonce === undefined ? noFields : ['dpop-nonce', advice.nonce]
}

function problem(answer: Answer, headers: readonly string[]): WireAnswer {
  return {
    status: answer.status,
    headers: ['content-type', 'application/problem+json', 'cache-control', 'no-store', ...headers],
    content: JSON.stringify({ type: 'about:blank', title: answer.title, status: answer.status, detail: answer.detail }),
  }
}

/** The same as text for a raw socket, after which it is closed: for what arrives before, or instead of, a parsed request. */
export function rawAnswer({ status, headers, content }: WireAnswer): string {
  const lines = [`HTTP/1.1 ${status} ${reasonPhrases[status] ?? 'Refused'}`]
  for (let at = 0; at < headers.length; at += 2) lines.push(`${headers[at]}: ${headers[at + 1]}`)
  return `${lines.join('\r\n')}\r\ncontent-length: ${Buffer.byteLength(content)}\r\nconnection: close\r\n\r\n${content}`
}

const reasonPhrases: Readonly<Record<number, string>> = Object.fromEntries(
  [...Object.values(answers), ...Object.values(protocolAnswers)].map(({ status, title }) => [status, title]),
)
