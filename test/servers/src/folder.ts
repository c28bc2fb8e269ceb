import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { onProcessEnd } from './process-end.ts'

const folders = new Set<string>()

/** Makes a folder for the life of this process; whoever is done sooner calls {@link removeFolder}. */
export function privateFolder(name: string): string {
  const folder = mkdtempSync(path.join(tmpdir(), `portcullis-${name}-`))
  folders.add(folder)
  return folder
}

export function removeFolder(folder: string): void {
  folders.delete(folder)
  // A server that was killed may still be writing its last lines.
  rmSync(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 50 })
}

onProcessEnd('late', () => {
  for (const folder of folders) removeFolder(folder)
})
