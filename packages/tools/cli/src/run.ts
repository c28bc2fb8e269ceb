import { isSecurityError } from '@portcullis/core'
import { columns, type Command, type ExitCode } from './command.ts'
import { commands } from './commands.ts'
import { usageError } from './mistake.ts'
import { writeLine, type Terminal } from './terminal.ts'
import { version } from './version.ts'

/**
 * Runs one command line, without the name of the program: `run(['jwt', 'decode', token], process)`. What goes
 * wrong is written to stderr, with its code, and is the exit status; it rejects for a fault of its own only.
 */
export async function run(args: readonly string[], terminal: Terminal): Promise<ExitCode> {
  try {
    return await start(args, terminal)
  } catch (error) {
    if (!isSecurityError(error)) throw error
    await writeLine(terminal.stderr, `${error.code}: ${error.message}`)
    if (error.code === 'ERR_CLI_USAGE') await writeLine(terminal.stderr, `See: portcullis ${[...wordsOf(args), '--help'].join(' ')}`)
    // What was refused, or cannot be told, is not accepted; all else is the fault of who called.
    return error.family === 'configuration' ? 2 : 1
  }
}

async function start(args: readonly string[], terminal: Terminal): Promise<ExitCode> {
  const found = commands.find(({ name }) => name === args.slice(0, wordCount(name)).join(' '))
  const rest = found === undefined ? args : args.slice(wordCount(found.name))
  // A value may be the text "--help", as the password of a very careless person; options take theirs by what follows.
  const wantsHelp = rest.includes('--help') || rest.includes('-h')
  if (found !== undefined) {
    if (!wantsHelp) return found.run(rest, terminal)
    terminal.stdout.write(found.help)
    return 0
  }
  const [group] = args
  if (group === '--version') {
    await writeLine(terminal.stdout, version)
    return 0
  }
  const below = commands.filter(({ name }) => name.startsWith(`${group} `))
  if (wantsHelp && (group?.startsWith('-') === true || below.length > 0)) {
    terminal.stdout.write(overview(below.length > 0 ? below : commands))
    return 0
  }
  if (args.length === 0) terminal.stderr.write(overview(commands))
  throw usageError(args.length === 0 ? 'There is no command.' : 'There is no such command.')
}

function overview(list: readonly Command[]): string {
  const rows = list.map(({ name, summary }) => [name, summary] as const)
  return `Usage: portcullis <command> [options]\n\nCommands:\n${columns(rows)}\n\nportcullis <command> --help tells more. portcullis --version prints the version.\n`
}

/** Those of the first words that are a command's or a group's, and nothing that may be a value. */
function wordsOf(args: readonly string[]): readonly string[] {
  const found = commands.find(({ name }) => name === args.slice(0, wordCount(name)).join(' '))
  if (found !== undefined) return [found.name]
  return commands.some(({ name }) => name.startsWith(`${args[0]} `)) ? args.slice(0, 1) : []
}

function wordCount(name: string): number {
  return name.split(' ').length
}
