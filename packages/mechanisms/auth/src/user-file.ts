import { ConfigurationError, isSecurityError } from '@portcullis/core'
import { readFileSync, statSync } from 'node:fs'
import type { BigIntStats } from 'node:fs'
import { open, stat } from 'node:fs/promises'

// Some 200,000 users with long hashes. Beyond that a database looks one up faster than a file is read.
const maxFileBytes = 64 * 1024 * 1024

/** What is read of a file: its text, and a mark that changes whenever the file does. */
export interface FileContent {
  readonly text: string
  readonly mark: string
}

/** The mark of a file that is not there. */
export const absentMark = 'absent'

/** Reads a file whole. Throws `ERR_USER_STORE_UNREADABLE` and `ERR_USER_STORE_MALFORMED`. */
export function readUserFileSync(path: string): FileContent {
  try {
    const stats = statSync(path, { bigint: true })
    checkSize(path, stats)
    return { text: decode(path, readFileSync(path)), mark: markOf(stats) }
  } catch (error) {
    throw unreadable(path, error)
  }
}

/** The same without blocking. A file that changes while it is read is refused with `ERR_USER_STORE_UNREADABLE`. */
export async function readUserFile(path: string): Promise<FileContent> {
  try {
    const handle = await open(path, 'r')
    // Not `await using`: the lowest Node that we support does not have it, and processes may run this source as it is.
    try {
      const before = await handle.stat({ bigint: true })
      checkSize(path, before)
      const bytes = await handle.readFile()
      const mark = markOf(before)
      if (markOf(await handle.stat({ bigint: true })) !== mark)
        throw new ConfigurationError('ERR_USER_STORE_UNREADABLE', `${path} changed while it was read.`)
      return { text: decode(path, bytes), mark }
    } finally {
      await handle.close()
    }
  } catch (error) {
    throw unreadable(path, error)
  }
}

/** What the file's mark is now; {@link absentMark} where nothing can be told of it. */
export async function currentMark(path: string): Promise<string> {
  try {
    return markOf(await stat(path, { bigint: true }))
  } catch {
    return absentMark
  }
}

// The inode tells a file that was renamed into place, the change time one whose modification time was set back.
function markOf({ dev, ino, size, mtimeNs, ctimeNs }: BigIntStats): string {
  return `${dev}:${ino}:${size}:${mtimeNs}:${ctimeNs}`
}

function checkSize(path: string, stats: BigIntStats): void {
  if (!stats.isFile()) throw new ConfigurationError('ERR_USER_STORE_UNREADABLE', `${path} is no file.`)
  if (stats.size > maxFileBytes) throw new ConfigurationError('ERR_USER_STORE_UNREADABLE', `${path} has more than ${maxFileBytes} bytes.`)
}

function decode(path: string, bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch {
    throw new ConfigurationError('ERR_USER_STORE_MALFORMED', `${path} is no UTF-8.`)
  }
}

function unreadable(path: string, error: unknown): unknown {
  return isSecurityError(error)
    ? error
    : new ConfigurationError('ERR_USER_STORE_UNREADABLE', { message: `${path} cannot be read.`, cause: error })
}
