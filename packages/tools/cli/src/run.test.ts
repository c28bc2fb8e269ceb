import { describe, expect, it } from 'vitest'
import { commands } from './commands.ts'
import { here, portcullis } from './process.test-support.ts'

describe('the command line', () => {
  it('tells which commands there are', async () => {
    const { code, stdout, stderr } = await portcullis(['--help'])
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    for (const { name, summary } of commands) expect(stdout).toMatch(new RegExp(`^ {2}${name} +${summary}$`, 'm'))
  })

  it.each(commands.map(({ name }) => name))('tells what %s takes', async (name) => {
    const { code, stdout, stderr } = await here([...name.split(' '), '--help'])
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    expect(stdout).toMatch(new RegExp(`^Usage: portcullis ${name} `))
    expect(stdout).toMatch(/^ {2}--json .*$/m)
    expect(stdout).toMatch(/^ {2}--help .*$/m)
  })

  it('ends with the status, as a process', async () => {
    expect(await portcullis([])).toEqual({
      code: 2,
      stdout: '',
      stderr: expect.stringMatching(/^Usage: [^]*ERR_CLI_USAGE: .*\nSee: portcullis --help\n$/),
    })
  })

  it('has help for each group, and a version', async () => {
    expect((await here(['jwt', '--help'])).stdout).not.toContain('certs create')
    expect(await portcullis(['--version'])).toMatchObject({ code: 0, stdout: expect.stringMatching(/^\d+\.\d+\.\d+\n$/) })
  })

  const wrong: readonly (readonly [string, readonly string[]])[] = [
    ['nothing', []],
    ['an unknown command', ['jtw', 'verify']],
    ['half a command', ['jwt']],
    ['an unknown command of a group', ['jwt', 'sign']],
    ['an unknown command with --help', ['constructor', '--help']],
    ['an unknown option', ['password', 'hash', '--passwrod-file', 'x']],
    ['an option without its value', ['jwt', 'verify', '--issuer']],
    ['an empty value', ['jwt', 'verify', '--issuer', '', '--audience', 'x', '--secret-file', 'x']],
    ['an option that stands twice', ['jwt', 'verify', '--issuer', 'a', '--issuer', 'b', '--audience', 'x', '--secret-file', 'x']],
    ['an argument that has no place', ['password', 'hash', 'correct horse']],
    ['two tokens', ['jwt', 'verify', 'a', 'b', '--issuer', 'a', '--audience', 'x', '--secret-file', 'x']],
    ['an empty argument', ['jwt', 'decode', '']],
    ['a secret as an option', ['jwt', 'verify', '--secret', 'correct horse', 'x']],
    ['a password as an option', ['password', 'hash', '--password=correct horse']],
    ['a value for a flag', ['certs', 'create', '--keep-ca-key=correct horse']],
  ]
  it.each(wrong)('refuses %s with status 2, and repeats no value', async (_what, args) => {
    const { code, stdout, stderr } = await here(args)
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' })
    expect(stderr).toMatch(/^ERR_CLI_USAGE: .+\nSee: portcullis .*--help\n$/m)
    expect(stderr).not.toContain('correct horse')
    expect(stderr).not.toContain('    at ')
  })
})
