import { hashPassword } from '@portcullis/crypto'
import { command } from '../command.ts'
import { usageError } from '../mistake.ts'
import { readNewSecret } from '../secret-input.ts'
import { print } from '../terminal.ts'

/** `portcullis password hash` */
export const passwordHash = command({
  name: 'password hash',
  summary: 'Hashes a password for a user store.',
  details: 'The password is asked for twice, or read from stdin or a file; never from an argument, which others on the machine can see.',
  options: {
    'password-file': { type: 'string', value: 'FILE', help: 'Where the password is. Default: stdin, or a prompt.' },
    algorithm: { type: 'string', value: 'NAME', help: 'scrypt or argon2id. Default: scrypt, which every runtime has.' },
  },
  async run({ 'password-file': file, algorithm = 'scrypt', json }, _argument, terminal) {
    if (algorithm !== 'scrypt' && algorithm !== 'argon2id') throw usageError('--algorithm is scrypt or argon2id.')
    const hash = await hashPassword(await readNewSecret(terminal, 'Password', file), { policy: { algorithm } })
    await print(terminal, json, { hash }, hash)
    return 0
  },
})
