import { execFileSync, spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { debianCommand, installDebianPackages, isDebian, whyNotDebian } from './debian.ts'
import { folderOf, locate, toolsFolder } from './locate.ts'
import { type Fetch, type Tool, type ToolName, buildTools, fetchedWith, tools } from './tools.ts'

/** What stands in `.tools/servers.json` about one tool. */
export interface ToolReport {
  name: ToolName
  purpose: string
  state: 'present' | 'missing' | 'failed'
  paths: Record<string, string>
  /** The command that would help, where something is missing. */
  help?: string
  reason?: string
}

export interface ProvisionOptions {
  /** Only these; all when absent. */
  only?: readonly ToolName[]
  /** Told one line per step. */
  progress?: (line: string) => void
  /** Asked before packages are installed. */
  confirm?: (packages: readonly string[]) => Promise<boolean>
}

/**
 * Brings every tool onto this machine, as far as it may, and reports on each. Installs nothing that is there already and
 * starts no service. Throws nothing for a tool that cannot be had: the report says so, with the command that would help.
 */
export async function provision(options: ProvisionOptions = {}): Promise<ToolReport[]> {
  const progress = options.progress ?? (() => {})
  const wanted = options.only ?? (Object.keys(tools) as ToolName[])
  const reasons = new Map<ToolName, string>()

  const absent = wanted.filter((name) => !present(name))
  const needed = absent.flatMap((name) => fetchersOf(name)).filter((name) => !present(name))
  const packages = debianPackagesOf([...absent.filter((name) => !buildTools.has(name)), ...needed])
  if (packages.length > 0) {
    const why = whyNotDebian()
    if (why === undefined) await installDebianPackages(packages, { progress, ...(options.confirm && { confirm: options.confirm }) })
    else progress(`not installed (${why}): ${packages.join(' ')}`)
  }

  for (const name of wanted) {
    const tool: Tool = tools[name]
    if (tool.fetch === undefined || present(name)) continue
    const failure = await fetchFirst(name, tool.fetch, progress)
    if (failure !== undefined) reasons.set(name, failure)
  }

  const reports = (Object.keys(tools) as ToolName[]).map((name) => reportOn(name, reasons.get(name)))
  mkdirSync(toolsFolder, { recursive: true })
  // A second run in the same checkout must never read half a file.
  const draft = path.join(toolsFolder, `.servers-${process.pid}.json`)
  writeFileSync(draft, `${JSON.stringify(Object.fromEntries(reports.map((report) => [report.name, report])), null, 2)}\n`)
  renameSync(draft, path.join(toolsFolder, 'servers.json'))
  return reports.filter((report) => wanted.includes(report.name))
}

const answers = new Map<ToolName, boolean>()

function present(name: ToolName): boolean {
  const { found, missing } = locate(name)
  if (missing.length > 0) return false
  const tool: Tool = tools[name]
  if (tool.atLeast === undefined) return true
  const known = answers.get(name)
  if (known !== undefined) return known
  const { part, ask, answer, major, minor = 0 } = tool.atLeast
  const match = answer.exec(bothStreamsOf(found[part] ?? part, ask))
  const [, a = '0', b = '0'] = match ?? []
  const enough = Number(a) > major || (Number(a) === major && Number(b) >= minor)
  // A "no" is not remembered: the packages may be installed in between.
  if (enough) answers.set(name, true)
  return enough
}

function bothStreamsOf(command: string, args: readonly string[]): string {
  try {
    return execFileSync('/bin/sh', ['-c', '"$0" "$@" 2>&1', command, ...args], { encoding: 'utf8', timeout: 20_000 })
  } catch {
    return ''
  }
}

function fetchersOf(name: ToolName): ToolName[] {
  const tool: Tool = tools[name]
  const first = tool.fetch?.[0]
  return first === undefined ? [] : [fetchedWith[first.by]]
}

function debianPackagesOf(names: readonly ToolName[]): string[] {
  return [...new Set(names.flatMap((name) => (tools[name] as Tool).debian ?? []))]
}

async function fetchFirst(name: ToolName, ways: readonly Fetch[], progress: (line: string) => void): Promise<string | undefined> {
  const failures: string[] = []
  for (const way of ways) {
    if (!present(fetchedWith[way.by])) {
      failures.push(`${fetchedWith[way.by]} is missing or too old`)
      continue
    }
    const folder = folderOf(name)
    mkdirSync(toolsFolder, { recursive: true })
    const draft = mkdtempSync(path.join(toolsFolder, `.fetching-${name}-`))
    const started = performance.now()
    progress(`${name} ${(tools[name] as Tool).version ?? ''}: fetching with ${fetchedWith[way.by]} …`)
    try {
      await fetchBy[way.by](way as never, draft)
      // Put in place only when verified, and in one step: what is there is whole.
      if (!existsSync(folder)) renameSync(draft, folder)
      progress(`${name}: verified and in place after ${((performance.now() - started) / 1000).toFixed(1)} s`)
      return undefined
    } catch (error) {
      failures.push(`${way.by}: ${lastLines(error instanceof Error ? error.message : String(error))}`)
      progress(`${name}: ${failures.at(-1)}`)
    } finally {
      rmSync(draft, { recursive: true, force: true })
    }
  }
  return failures.join('; ')
}

const fetchBy: { [By in Fetch['by']]: (way: Extract<Fetch, { by: By }>, folder: string) => Promise<void> } = {
  pip: (way, folder) =>
    inWorkFolder(async (work) => {
      const requirements = path.join(work, 'requirements.txt')
      writeFileSync(requirements, `${way.requirement} ${way.sha256.map((sum) => `--hash=sha256:${sum}`).join(' ')}\n`)
      const pip = locate('pip').found.pip ?? 'pip3'
      const how = ['--disable-pip-version-check', '--no-deps', '--no-compile', '--require-hashes', '--only-binary', ':all:']
      await run(pip, ['install', ...how, '--target', folder, '-r', requirements], work)
    }),
  go: (way, folder) =>
    inWorkFolder(async (work) => {
      for (const file of ['go.mod', 'go.sum']) copyFileSync(pinsFile(`${way.pins}.${file}`), path.join(work, file))
      const go = locate('go').found.go ?? 'go'
      // readonly: a module whose hash is not in the pinned go.sum fails the build.
      const how = ['build', '-mod=readonly', '-trimpath', '-buildvcs=false', '-ldflags=-s -w']
      await run(go, [...how, '-o', `${path.join(folder, 'bin')}/`, way.package], work, { GOTOOLCHAIN: 'local', GOFLAGS: '' })
    }),
  maven: (way, folder) =>
    inWorkFolder(async (work) => {
      writeFileSync(path.join(work, 'pom.xml'), pomOf(way.artifacts))
      const mvn = locate('maven').found.mvn ?? 'mvn'
      await run(mvn, ['-B', '-q', '-ntp', 'dependency:copy-dependencies', '-DincludeScope=runtime', `-DoutputDirectory=${folder}`], work)
      verify(folder, readFileSync(pinsFile(`${way.pins}.sha256`), 'utf8'))
    }),
}

function pinsFile(name: string): string {
  return path.resolve(import.meta.dirname, '../pins', name)
}

async function inWorkFolder(work: (folder: string) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(path.join(tmpdir(), 'portcullis-fetch-'))
  try {
    await work(folder)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

function pomOf(artifacts: readonly string[]): string {
  const dependencies = artifacts.map((artifact) => {
    const [group, id, version] = artifact.split(':')
    return `<dependency><groupId>${group}</groupId><artifactId>${id}</artifactId><version>${version}</version></dependency>`
  })
  return `<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion><groupId>portcullis</groupId><artifactId>fetch</artifactId><version>1</version><dependencies>${dependencies.join('')}</dependencies></project>\n`
}

/** Compares a folder with a `sha256sum` list: exactly these files, each with its hash. */
export function verify(folder: string, list: string): void {
  const expected = new Map(
    list
      .trim()
      .split('\n')
      .map((line) => [line.slice(66).trim(), line.slice(0, 64)]),
  )
  const files = readdirSync(folder)
  for (const file of files) {
    const sum = createHash('sha256')
      .update(readFileSync(path.join(folder, file)))
      .digest('hex')
    if (expected.get(file) !== sum) throw new Error(`${file} is not what was pinned (sha256 ${sum})`)
  }
  if (files.length !== expected.size) throw new Error(`${expected.size - files.length} of the pinned files are missing`)
}

// A build of a server from source takes about a minute on two cores; ten leave room for a slow line.
const fetchWithinMs = 600_000

function run(command: string, args: readonly string[], cwd: string, env: Record<string, string> = {}): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { cwd, env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'], timeout: fetchWithinMs })
    let output = ''
    const keep = (chunk: Buffer): void => {
      output = (output + chunk.toString()).slice(-4000)
    }
    child.stdout.on('data', keep)
    child.stderr.on('data', keep)
    child.once('error', reject)
    child.once('close', (code) => {
      if (code === 0) resolve()
      else reject(new Error(`${path.basename(command)} ended with ${code}: ${output}`))
    })
  })
}

function lastLines(text: string): string {
  return text
    .trim()
    .split('\n')
    .filter((line) => line.trim() !== '')
    .slice(-3)
    .join(' | ')
    .slice(0, 400)
}

function reportOn(name: ToolName, reason: string | undefined): ToolReport {
  const tool: Tool = tools[name]
  const report: ToolReport = { name, purpose: tool.purpose, state: 'present', paths: locate(name).found }
  if (present(name)) return report
  return { ...report, state: reason === undefined ? 'missing' : 'failed', help: helpFor(tool), ...(reason !== undefined && { reason }) }
}

function helpFor(tool: Tool): string {
  if (tool.debian !== undefined)
    return isDebian() ? debianCommand(tool.debian) : `install ${tool.debian.join(', ')} with this system's package tool`
  const first = tool.fetch?.[0]
  return first === undefined ? 'none known' : `install ${fetchedWith[first.by]}, then run this again`
}
