import { parseArgs } from 'node:util'
import { usageError } from './mistake.ts'
import type { Terminal } from './terminal.ts'

/** One option of a command. */
export interface Option {
  readonly type: 'string' | 'boolean'
  /** May be given several times. */
  readonly multiple?: boolean
  /** What the value is, in capitals, for the help. */
  readonly value?: string
  readonly help: string
}
type Options = Readonly<Record<string, Option>>

type ValueOf<O extends Option> = O['type'] extends 'boolean'
  ? boolean
  : O extends { readonly multiple: true }
    ? readonly [string, ...string[]]
    : string
/** What was given; none of it is empty. */
export type Values<O extends Options> = { readonly [K in keyof O]?: ValueOf<O[K]> } & { readonly json?: boolean }

/** 0: accepted or done. 1: refused, or nobody can tell. 2: the command line or what it names is wrong. */
export type ExitCode = 0 | 1 | 2

/** A row of the table of commands. Made by {@link command}. */
export interface Command {
  /** As typed: `jwt verify`. */
  readonly name: string
  /** One line, for the list of commands. */
  readonly summary: string
  readonly help: string
  /** Parses what follows the name, and does it. Throws `ERR_CLI_USAGE`, and what the packages throw. */
  run(args: readonly string[], terminal: Terminal): Promise<ExitCode>
}

/** Describes a command. `argument` names the one argument that it may have. */
export function command<const O extends Options>(init: {
  readonly name: string
  readonly summary: string
  readonly argument?: string
  readonly details?: string
  readonly options: O
  readonly run: (values: Values<O>, argument: string | undefined, terminal: Terminal) => Promise<ExitCode>
}): Command {
  const options: Options = { ...init.options, json: { type: 'boolean', help: 'Prints JSON, one object per line.' } }
  return {
    name: init.name,
    summary: init.summary,
    help: helpOf(init, options),
    async run(args, terminal) {
      const { values, positionals } = parsed(args, options)
      if (positionals.length > (init.argument === undefined ? 0 : 1)) throw usageError(`There are too many arguments for "${init.name}".`)
      return init.run(values as Values<O>, positionals[0], terminal)
    },
  }
}

function parsed(args: readonly string[], options: Options) {
  const { values, positionals, tokens } = parsedBy(args, options)
  const seen = new Set<string>()
  for (const token of tokens) {
    if (token.kind !== 'option') continue
    // The last one would win: whoever looks at the first is deceived.
    if (seen.has(token.name) && options[token.name]?.multiple !== true) throw usageError(`--${token.name} stands twice.`)
    seen.add(token.name)
    if (token.value !== undefined && token.value.trim() === '') throw usageError(`--${token.name} is empty.`)
  }
  if (positionals.some((argument) => argument.trim() === '')) throw usageError('An argument is empty.')
  return { values, positionals }
}

function parsedBy(args: readonly string[], options: Options) {
  try {
    const config = Object.fromEntries(Object.entries(options).map(([name, { type, multiple = false }]) => [name, { type, multiple }]))
    return parseArgs({ args: [...args], options: config, allowPositionals: true, strict: true, tokens: true })
  } catch (error) {
    // Node's own sentence names the option and never its value; it goes on with advice after a full stop.
    throw usageError(`${(error as Error).message.split(/\.\s/)[0]}.`)
  }
}

function helpOf(
  init: { readonly name: string; readonly summary: string; readonly argument?: string; readonly details?: string },
  options: Options,
): string {
  const rows = Object.entries({ ...options, help: { type: 'boolean', help: 'Prints this.' } satisfies Option } as Options).map(
    ([name, { value, help, multiple }]) =>
      [`--${name}${value === undefined ? '' : ` ${value}`}`, `${help}${multiple === true ? ' May be repeated.' : ''}`] as const,
  )
  const argument = init.argument === undefined ? '' : ` [${init.argument}]`
  return [
    `Usage: portcullis ${init.name}${argument} [options]`,
    `${init.summary}${init.details === undefined ? '' : `\n\n${init.details}`}`,
    `Options:\n${columns(rows)}`,
    'Exit status: 0 accepted or done, 1 refused or undecided (the code is on stderr), 2 wrong usage.\n',
  ].join('\n\n')
}

/** Two columns, the second of which begins at one place. */
export function columns(rows: readonly (readonly [string, string])[]): string {
  const width = Math.max(...rows.map(([left]) => left.length))
  return rows.map(([left, right]) => `  ${left.padEnd(width)}  ${right}`).join('\n')
}
