import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** With `--serve`: says how to call the service, and keeps it up until the program is stopped. */
export async function stay(authority: string, lines: (ca: string) => readonly string[]): Promise<void> {
  if (!process.argv.includes('--serve')) return
  const folder = mkdtempSync(join(tmpdir(), 'portcullis-'))
  const file = join(folder, 'ca.pem')
  writeFileSync(file, authority)
  console.log(
    `\nTry:\n${lines(file)
      .map((line) => `  ${line}`)
      .join('\n')}\n\nCtrl-C ends it.`,
  )
  await new Promise((resolve) => process.once('SIGINT', resolve))
  rmSync(folder, { recursive: true })
}
