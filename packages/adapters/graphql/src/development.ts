/** TLS for development and tests, as `@portcullis/tls/development` has it: a throw-away authority in memory, loopback names only. */
export { developmentIssuer, developmentTls } from '@portcullis/tls/development'
export type { DevelopmentTls, DevelopmentTlsOptions } from '@portcullis/tls/development'
