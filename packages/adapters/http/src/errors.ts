/** The codes of `@portcullis/http`, each with its meaning. */
export const httpErrorCodes = {
  ERR_HTTP_TARGET_MALFORMED:
    'The request target has encoded slashes, dot segments, empty segments, control characters or no path; answered 400 before any route is looked up.',
  ERR_HTTP_TARGET_TOO_LONG: 'The request target is longer than `limits.maxTargetLength`; answered 414.',
  ERR_HTTP_FIELDS_TOO_LARGE: 'The header fields are larger than `limits.maxFieldsBytes`; answered 431.',
  ERR_HTTP_CONTENT_TOO_LARGE: 'The content is larger than `limits.maxContentBytes`; answered 413.',
  ERR_HTTP_METHOD_OVERRIDE: 'A field or parameter asks for another method than the one that is judged; answered 400.',
  ERR_HTTP_METHOD_REFUSED: 'CONNECT and TRACE are never handled; answered 501.',
  ERR_HTTP_REQUEST_MALFORMED: 'The bytes received are no HTTP request; answered 400.',
  ERR_HTTP_REQUEST_TIMEOUT: 'The request did not arrive in time; answered 408.',
  ERR_HTTP_ROUTE_UNMATCHED: 'No resource covers the path; answered 404, after the guard of the nearest level has judged.',
  ERR_HTTP_METHOD_UNMATCHED: 'A resource covers the path, but not the method; answered 405, after the guard has judged.',
  ERR_HTTP_CHANNEL_INSECURE:
    'A request came in clear, and not through a named proxy that ended its TLS; answered 403 before any credential is read.',
  ERR_HTTP_ROUTE_INVALID: 'A service or resource has a path, method or handler that makes no sense, or two have the same.',
  ERR_HTTP_HANDLER_FAILED: 'A handler or hook threw, or returned what is no answer; answered 500.',
  ERR_HTTP_LISTEN: 'The listener could not be opened on its address.',
  ERR_HTTP_INSECURE_TARGET: 'The client was asked to call a URL that is not https.',
  ERR_HTTP_CREDENTIAL_CONFLICT: 'A call brought an Authorization field of its own although the client has a credential source.',
  ERR_HTTP_CREDENTIAL_UNSUPPORTED: 'The source yielded a kind of credential that HTTP has no field for.',
  ERR_HTTP_CALLER_UNKNOWN:
    'The credential of a caller was to be forwarded, and this caller came in by another mechanism, or as one of several factors together.',
  ERR_HTTP_REDIRECT: 'The peer redirected too often, to a channel that is not secure, or although redirects are an error here.',
  ERR_HTTP_CONNECTION: 'The peer could not be reached, or the connection broke; nothing is known about whether it acted.',
  ERR_HTTP_TLS: 'The TLS handshake failed: an untrusted certificate, a wrong name, or a refusal by the peer. Nothing was sent.',
  ERR_HTTP_ANSWER_TIMEOUT: 'The peer did not answer in time; nothing is known about whether it acted.',
} as const

/** A code of an error of `@portcullis/http`. */
export type HttpErrorCode = keyof typeof httpErrorCodes
