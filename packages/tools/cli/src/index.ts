/**
 * `@portcullis/cli`: the `portcullis` command: tokens, password hashes, development certificates and a token service, at
 * a prompt or in a script.
 *
 * Programs use the packages that it calls (`@portcullis/jwt`, `@portcullis/crypto`, `@portcullis/tls`,
 * `@portcullis/sts`) rather than `run`, which is for tools that embed the command as it is.
 */
export { run } from './run.ts'
export type { ExitCode } from './command.ts'
export type { Terminal } from './terminal.ts'
export { cliErrorCodes } from './errors.ts'
export type { CliErrorCode } from './errors.ts'
