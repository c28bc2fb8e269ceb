/**
 * `@portcullis/hello`: the template from which adapters are made, and the smallest complete one: a line protocol over
 * TLS. Copy it to begin an adapter of your own (`docs/adapters.md`); it is not published and not for use, `tcp` is.
 *
 * A peer writes `AUTH <credential as in an Authorization field>`, or `AUTH` alone for its certificate, and then lines of
 * `<action> <resource>`. It is answered `OK <JSON text>` or `REFUSED <word> <challenges>`, in order. Out of order come
 * `NEWS <resource> <JSON text>` of what it follows, `END <resource> <word>` when one of these is over, `WARN <seconds>`
 * before its credential expires, so that it writes `AUTH` again, and `BYE <word>`, after which the connection ends.
 */
export { allOf, anyOf, everyone, guard, scope, withScopes } from '@portcullis/core'
export { serve } from './listener.ts'
export type { HelloListener, Operation, ServeOptions } from './listener.ts'
export { connect } from './client.ts'
export type { ConnectOptions, HelloClient } from './client.ts'
export { helloErrorCodes } from './errors.ts'
export type { HelloErrorCode } from './errors.ts'
export { refusalWords, endWords } from './refuse.ts'
export type { RefusalWord } from './refuse.ts'
