import { spawn } from 'node:child_process'
import { verifyPassword } from '@portcullis/crypto'
import { describe, expect, it } from 'vitest'
import { program } from './process.test-support.ts'

/** Runs the command on a terminal, which `script` of util-linux makes, and types an answer to each question. */
async function typed(args: readonly string[], answers: readonly string[]): Promise<{ code: number | null; shown: string }> {
  const line = [...program, ...args].map((word) => `'${word}'`).join(' ')
  const child = spawn('script', ['--quiet', '--return', '--echo', 'always', '--command', line, '/dev/null'])
  let shown = ''
  let asked = 0
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    shown += text
    const questions = shown.match(/: /g)?.length ?? 0
    while (asked < questions && asked < answers.length) child.stdin.write(answers[asked++] ?? '')
  })
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (code) => resolve({ code, shown }))
  })
}

describe('a secret that is asked for', () => {
  it('is not shown, can be corrected, and is asked for twice', { timeout: 30_000 }, async () => {
    const { code, shown } = await typed(['password', 'hash'], ['correct hosre\u007F\u007F\u007Frse\r', 'correct horse\r'])
    expect(code).toBe(0)
    expect(shown).toMatch(/^Password: \r?\nPassword again: \r?\n\$scrypt\$/)
    expect(shown).not.toContain('horse')
    expect(await verifyPassword('correct horse', shown.trim().split(/\r?\n/).at(-1) ?? '')).toBe(true)
  })

  it('is refused if the two differ, or nothing was entered', { timeout: 30_000 }, async () => {
    expect(await typed(['password', 'hash'], ['one\r', 'two\r'])).toMatchObject({
      code: 2,
      shown: expect.stringContaining('ERR_CLI_USAGE'),
    })
    expect(await typed(['password', 'hash'], ['\u0003'])).toMatchObject({ code: 2, shown: expect.stringContaining('ERR_CLI_INTERRUPTED') })
  })
})
