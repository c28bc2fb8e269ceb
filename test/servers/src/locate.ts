import { accessSync, constants, readdirSync } from 'node:fs'
import path from 'node:path'
import { type Tool, type ToolName, tools } from './tools.ts'

/** The checkout that this file lies in. */
export const checkout = path.resolve(import.meta.dirname, '../../..')

/** Where fetched tools are kept; ignored by git. */
export const toolsFolder = path.join(checkout, '.tools')

/** The folder that a fetched tool has to itself. */
export function folderOf(name: ToolName): string {
  const tool: Tool = tools[name]
  return path.join(toolsFolder, `${name}-${tool.version ?? 'unpinned'}`)
}

/** The one command that a reader of an error has to know. */
export const provisionCommand = 'npm run provision'

/** Finds every part of a tool, or tells which are missing. Looks at the disk each time and starts nothing. */
export function locate(name: ToolName): { found: Record<string, string>; missing: string[] } {
  const found: Record<string, string> = {}
  const missing: string[] = []
  const tool: Tool = tools[name]
  for (const [part, candidates] of Object.entries(tool.paths)) {
    const hit = firstOf(candidates, name)
    if (hit === undefined) missing.push(part)
    else found[part] = hit
  }
  return { found, missing }
}

/** The path of one part of a tool. Throws an error that names the missing part and the command that installs it: a test never skips. */
export function pathOf<N extends ToolName>(name: N, part: keyof (typeof tools)[N]['paths'] & string): string {
  const { found } = locate(name)
  const hit = found[part]
  if (hit === undefined) throw new Error(`${part} (${tools[name].purpose}) is not on this machine; run: ${provisionCommand}`)
  return hit
}

function firstOf(candidates: readonly string[], name: ToolName): string | undefined {
  for (const candidate of candidates) {
    for (const file of expand(candidate.replace('{folder}', folderOf(name)))) if (exists(file)) return file
  }
  return undefined
}

// A login shell of an ordinary user often lacks the sbin folders, where Debian puts slapd.
const systemFolders = ['/usr/local/bin', '/usr/bin', '/bin', '/usr/local/sbin', '/usr/sbin', '/sbin']

function expand(candidate: string): string[] {
  if (!path.isAbsolute(candidate)) {
    const folders = [...(process.env.PATH ?? '').split(path.delimiter), ...systemFolders]
    return folders.filter((folder) => path.isAbsolute(folder)).map((folder) => path.join(folder, candidate))
  }
  const star = candidate.indexOf('/*/')
  if (star === -1) return [candidate]
  const names = listOf(candidate.slice(0, star)).toSorted((a, b) => b.localeCompare(a, 'en', { numeric: true }))
  return names.map((folder) => `${candidate.slice(0, star)}/${folder}/${candidate.slice(star + 3)}`)
}

function listOf(folder: string): string[] {
  try {
    return readdirSync(folder)
  } catch {
    return []
  }
}

function exists(file: string): boolean {
  try {
    accessSync(file, constants.R_OK)
    return true
  } catch {
    return false
  }
}
