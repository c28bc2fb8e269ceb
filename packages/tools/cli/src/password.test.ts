import { verifyPassword } from '@portcullis/crypto'
import { afterAll, describe, expect, it } from 'vitest'
import { Folder, here, portcullis } from './process.test-support.ts'

const folder = new Folder()
afterAll(() => folder[Symbol.dispose]())

describe('password', () => {
  it('is hashed from stdin or a file, and verified', { timeout: 60_000 }, async () => {
    const password = folder.write('password', 'correct horse é\r\n')
    for (const [args, input] of [
      [[], 'correct horse é\n'],
      [[], 'correct horse é'],
      [['--password-file', password], ''],
      [['--password-file', '-'], 'correct horse é'],
    ] as const) {
      const made = await portcullis(['password', 'hash', ...args], input)
      expect(made).toMatchObject({ code: 0, stderr: '', stdout: expect.stringMatching(/^\$scrypt\$ln=14,r=8,p=5\$.*\n$/) })
      expect(await verifyPassword('correct horse é', made.stdout.trim())).toBe(true)
    }
  })

  it('is accepted or refused', { timeout: 60_000 }, async () => {
    const { stdout } = await portcullis(['password', 'hash', '--json'], 'correct horse')
    const { hash } = JSON.parse(stdout) as { hash: string }
    const file = folder.write('hash', `${hash}\n`)
    for (const where of [['--hash-file', file], [hash]]) {
      expect(await portcullis(['password', 'verify', ...where], 'correct horse\n')).toEqual({ code: 0, stdout: 'accepted\n', stderr: '' })
      expect(await portcullis(['password', 'verify', ...where], 'correct horse \n')).toMatchObject({
        code: 1,
        stdout: '',
        stderr: expect.stringMatching(/^ERR_CLI_PASSWORD_WRONG: /),
      })
    }
    expect(await here(['password', 'verify', '--json', hash], 'x')).toMatchObject({
      code: 1,
      stdout: '{"ok":false,"code":"ERR_CLI_PASSWORD_WRONG"}\n',
    })
    expect(await here(['password', 'verify', '--json', hash], 'correct horse')).toMatchObject({ code: 0, stdout: '{"ok":true}\n' })
  })

  it('is verified against legacy values, too', async () => {
    const legacy = '@sha256:{9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08}'
    expect(await here(['password', 'verify', legacy], 'test')).toMatchObject({ code: 0 })
    expect(await here(['password', 'verify', legacy], 'tset')).toMatchObject({ code: 1 })
  })

  it.each([
    ['no password', ['hash'], '', 2],
    ['an empty one', ['hash'], '\n', 2],
    ['a file that is not there', ['hash', '--password-file', 'no/such/file'], '', 2],
    ['what is no text', ['hash'], Buffer.of(0xff, 0xfe), 2],
    ['what is far too long', ['hash'], 'x'.repeat(100_000), 2],
    ['what is longer than passwords are', ['hash'], 'x'.repeat(2_000), 1],
    ['an unknown algorithm', ['hash', '--algorithm', 'md5'], 'x', 2],
    ['no hash', ['verify'], 'x', 2],
    ['a hash twice', ['verify', '$scrypt$', '--hash-file', 'x'], 'x', 2],
    ['what is no hash', ['verify', 'plain text'], 'plain text', 2],
    ['a hash and a password from one stdin', ['verify', '--hash-file', '-'], 'x', 2],
  ] as const)('is not taken from %s', async (_what, args, input, expected) => {
    const { code, stdout, stderr } = await here(['password', ...args], input)
    expect({ code, stdout }).toEqual({ code: expected, stdout: '' })
    expect(stderr).toMatch(/^ERR_[A-Z0-9_]+: /)
    expect(stderr).not.toMatch(/plain text|x{20}/)
  })
})
