/** The codes of the errors of the `portcullis` command, each with its meaning. What a command refuses has the code of the package that refused it. */
export const cliErrorCodes = {
  ERR_CLI_USAGE: 'The command line is wrong: an unknown command or option, a missing or empty one, one that stands twice.',
  ERR_CLI_FILE: 'A file that an option names cannot be read, or is not of the form that is needed.',
  ERR_CLI_PASSWORD_WRONG: 'The password is not the one that the hash was made of.',
  ERR_CLI_INTERRUPTED: 'Whoever was asked for a secret gave up.',
} as const satisfies Record<`ERR_CLI_${string}`, string>

/** One of the keys of {@link cliErrorCodes}. */
export type CliErrorCode = keyof typeof cliErrorCodes
