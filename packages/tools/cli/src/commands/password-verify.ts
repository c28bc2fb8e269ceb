import { AuthenticationError } from '@portcullis/core'
import { verifyPassword } from '@portcullis/crypto'
import { command } from '../command.ts'
import type { CliErrorCode } from '../errors.ts'
import { usageError } from '../mistake.ts'
import { readSecret } from '../secret-input.ts'
import { print } from '../terminal.ts'

/** `portcullis password verify` */
export const passwordVerify = command({
  name: 'password verify',
  summary: 'Tells whether a password is the one that a hash was made of.',
  argument: 'HASH',
  details:
    'The password is asked for, or read from stdin or a file; never from an argument. The hash is better in a file, too: it can be guessed at.',
  options: {
    'hash-file': { type: 'string', value: 'FILE', help: 'Where the hash is, in place of the argument.' },
    'password-file': { type: 'string', value: 'FILE', help: 'Where the password is. Default: stdin, or a prompt.' },
  },
  async run({ 'hash-file': hashFile, 'password-file': file, json }, argument, terminal) {
    if ((hashFile === undefined) === (argument === undefined))
      throw usageError('The hash is required: as an argument or by --hash-file, not both.')
    if (hashFile === '-') throw usageError('Stdin is for the password.')
    const hash = argument ?? (await readSecret(terminal, 'Hash', hashFile)).reveal()
    const ok = await verifyPassword(await readSecret(terminal, 'Password', file), hash)
    if (ok || json === true) await print(terminal, json, ok ? { ok } : { ok, code: 'ERR_CLI_PASSWORD_WRONG' }, 'accepted')
    if (!ok) throw new AuthenticationError<CliErrorCode>('ERR_CLI_PASSWORD_WRONG', 'The password is another one.')
    return 0
  },
})
