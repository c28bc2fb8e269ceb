/**
 * `@portcullis/config`: a policy as plain data (TOML, JSON, a literal), turned into the same guards that code would make.
 *
 * For services whose operators decide who may come in without touching code. Not for rules that look at the request or
 * compute: an authorizer is a function, and belongs into code, where it has types and tests.
 */
export { policyFrom, policyFromToml } from './policy-from.ts'
export type { ConfiguredPolicy, PolicyOptions, ServiceNames } from './policy-from.ts'
export { configErrorCodes } from './errors.ts'
export type { ConfigErrorCode } from './errors.ts'
