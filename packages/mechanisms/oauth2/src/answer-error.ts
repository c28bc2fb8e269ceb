import { isSecurityError } from '@portcullis/core'
import * as oauth from 'oauth4webapi'
import { OAuthRefusal, outage } from './errors.ts'

// RFC 6749 section 5.2 gives the characters; what is longer is no code.
const errorCode = /^[\x20\x21\x23-\x5b\x5d-\x7e]{1,64}$/
const temporary: ReadonlySet<string> = new Set(['server_error', 'temporarily_unavailable'])

/**
 * What a failed exchange with an authorization server means, as an error of this package. The library's own errors hold
 * whole answers, tokens included, so nothing but its message is taken over.
 */
export function answerError(server: string, error: unknown): Error {
  if (error instanceof oauth.ResponseBodyError) {
    if (error.status >= 500 || error.status === 429 || temporary.has(error.error)) return failed(server, error.status)
    return refusal(server, error.error, error.error_description)
  }
  if (error instanceof oauth.AuthorizationResponseError) return refusal(server, error.error, error.error_description)
  if (error instanceof oauth.WWWAuthenticateChallengeError)
    return error.status >= 500 ? failed(server, error.status) : refusal(server, 'invalid_client', undefined)
  if (error instanceof oauth.OperationProcessingError) {
    const status = error.cause instanceof Response ? error.cause.status : undefined
    if (status !== undefined && (status >= 500 || status === 429)) return failed(server, status)
    return outage(
      error.code === oauth.JSON_ATTRIBUTE_COMPARISON ? 'ERR_OAUTH_METADATA_INVALID' : 'ERR_OAUTH_ANSWER_INVALID',
      `The answer of ${server} is not as specified: ${error.message}${status === undefined ? '' : ` (status ${status})`}.`,
    )
  }
  if (error instanceof oauth.UnsupportedOperationError) return outage('ERR_OAUTH_TOKEN_TYPE', `The answer of ${server}: ${error.message}.`)
  if (isSecurityError(error)) return error
  return error instanceof Error ? error : outage('ERR_OAUTH_ANSWER_INVALID', `The answer of ${server} could not be processed.`)
}

function failed(server: string, status: number): Error {
  return outage('ERR_OAUTH_SERVER_FAILED', `${server} answered with status ${status}.`)
}

function refusal(server: string, error: string, description: string | undefined): OAuthRefusal {
  const code = errorCode.test(error) ? error : 'invalid_request'
  // The description is the server's own words for developers; control characters would forge lines of a log.
  const words = description === undefined ? '' : `: ${description.replace(/\p{Cc}/gu, ' ').slice(0, 200)}`
  return new OAuthRefusal('ERR_OAUTH_REFUSED', code, `${server} refused the request (${code})${words}`)
}
