import type { Command } from './command.ts'
import { certsCreate } from './commands/certs-create.ts'
import { jwtDecode } from './commands/jwt-decode.ts'
import { jwtIssue } from './commands/jwt-issue.ts'
import { jwtVerify } from './commands/jwt-verify.ts'
import { passwordHash } from './commands/password-hash.ts'
import { passwordVerify } from './commands/password-verify.ts'
import { sts } from './commands/sts.ts'

/** Every command, in the order of the help. A new one is a file in `commands` and a row here. */
export const commands: readonly Command[] = [jwtIssue, jwtVerify, jwtDecode, passwordHash, passwordVerify, certsCreate, sts]
