import { spawn } from 'node:child_process'
import { accessSync, chmodSync, constants, existsSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'

/** Whether this machine installs by apt-get. */
export function isDebian(): boolean {
  return existsSync('/etc/debian_version') && existsSync('/usr/bin/apt-get')
}

/** Why packages cannot be installed here, or undefined if they can. */
export function whyNotDebian(): string | undefined {
  if (!isDebian()) return 'not a Debian system'
  if (process.getuid?.() !== 0) return 'not root'
  return undefined
}

/** The command a person would type. */
export function debianCommand(packages: readonly string[]): string {
  return `apt-get install --no-install-recommends ${packages.join(' ')}`
}

/**
 * Installs packages and lets none of them start a service: the tests run their own private instances, and a machine should
 * not have a database listening because somebody ran a test suite. Upgrades and removes nothing. Failures are told, not thrown.
 */
export async function installDebianPackages(
  packages: readonly string[],
  options: { progress: (line: string) => void; confirm?: (packages: readonly string[]) => Promise<boolean> },
): Promise<void> {
  const { progress, confirm } = options
  progress(`to be installed: ${packages.join(' ')}`)
  if (confirm !== undefined && !(await confirm(packages))) {
    progress('not installed: declined')
    return
  }
  await withoutServiceStarts(async () => {
    progress('apt-get update …')
    await apt(['update', '-qq'], progress)
    progress('apt-get install …')
    const how = ['install', '-y', '-qq', '--no-install-recommends', '--no-upgrade', '--no-remove', '-o', 'Dpkg::Options::=--force-confold']
    if ((await apt([...how, ...packages], progress)) === 0) return
    // One package that this release lacks must not cost the others.
    for (const one of packages) if ((await apt([...how, one], () => {})) !== 0) progress(`apt-get could not install ${one}`)
  })
}

const policyFile = '/usr/sbin/policy-rc.d'
const policy = '#!/bin/sh\n# Written for the length of one installation; see test/servers.\nexit 101\n'

async function withoutServiceStarts(work: () => Promise<void>): Promise<void> {
  const before = existsSync(policyFile) ? { text: readFileSync(policyFile, 'utf8'), mode: statSync(policyFile).mode } : undefined
  const restore = (): void => {
    // What an interrupted or a parallel run of this same script left behind is not somebody's setting.
    if (before === undefined || before.text === policy) rmSync(policyFile, { force: true })
    else writeFileSync(policyFile, before.text, { mode: before.mode })
  }
  // Already forbidden by the machine's own rule: nothing to change, nothing to restore.
  if (before !== undefined && /^exit 101$/m.test(before.text) && before.text !== policy && executable()) {
    await work()
    return
  }
  const interrupted = (): void => {
    restore()
    process.exit(130)
  }
  process.once('SIGINT', interrupted).once('SIGTERM', interrupted)
  writeFileSync(policyFile, policy)
  chmodSync(policyFile, 0o755)
  try {
    await work()
  } finally {
    restore()
    process.off('SIGINT', interrupted).off('SIGTERM', interrupted)
  }
}

function executable(): boolean {
  try {
    accessSync(policyFile, constants.X_OK)
    return true
  } catch {
    return false
  }
}

function apt(args: readonly string[], progress: (line: string) => void): Promise<number> {
  return new Promise((resolve) => {
    const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive', LC_ALL: 'C.UTF-8' }
    // Another installation under way holds dpkg's lock: wait for it rather than fail.
    const child = spawn('apt-get', ['-o', 'DPkg::Lock::Timeout=300', ...args], { env, stdio: ['ignore', 'pipe', 'pipe'] })
    let errors = ''
    child.stdout.on('data', (chunk: Buffer) => {
      for (const line of chunk.toString().split('\n')) if (line.startsWith('Setting up ')) progress(`  ${line.trim()}`)
    })
    child.stderr.on('data', (chunk: Buffer) => {
      errors = (errors + chunk.toString()).slice(-2000)
    })
    child.once('error', (error) => {
      progress(`apt-get: ${error.message}`)
      resolve(1)
    })
    child.once('close', (code) => {
      if (code !== 0) progress(`apt-get ${args[0]} ended with ${code}: ${errors.trim().split('\n').slice(-3).join(' | ')}`)
      resolve(code ?? 1)
    })
  })
}
