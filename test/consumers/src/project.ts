/** An empty project of a user, and what a user does in it. */
import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { root } from '@portcullis/test-boundaries/workspace'

// A first installation fetches the peers from the registry of the machine.
const longestMs = 180_000

export interface Ended {
  readonly code: number
  readonly output: string
}

export class Project implements Disposable {
  readonly folder = mkdtempSync(join(tmpdir(), 'portcullis-consumer-'))

  constructor(registryUrl: string) {
    this.write('package.json', JSON.stringify({ name: 'consumer', private: true, type: 'module' }))
    this.write('.npmrc', `@portcullis:registry=${registryUrl}\naudit=false\nfund=false\nupdate-notifier=false\npackage-lock=false\n`)
    this.write('tsconfig.json', JSON.stringify({ compilerOptions, files: ['main.ts'] }))
  }

  write(name: string, text: string): void {
    writeFileSync(join(this.folder, name), text)
  }

  /** `npm install`, with packages as a user names them. */
  install(...packages: string[]): Promise<Ended> {
    return this.#run('npm', ['install', '--prefix', this.folder, '--prefer-offline', ...packages])
  }

  /**
   * Compiles main.ts as strictly as the compiler can, our declarations included. What the declarations of others say among
   * themselves is theirs: lru-cache does not stand `exactOptionalPropertyTypes`.
   */
  async compile(): Promise<Ended> {
    const compiler = join(root, 'node_modules', 'typescript', 'bin', 'tsc')
    const { code, output } = await this.#run(process.execPath, [compiler, '-p', this.folder, '--pretty', 'false'])
    // An error begins a line; what explains it is indented.
    const errors = output.split(/\n(?! )/).filter((error) => error !== '')
    const ours = errors.filter((error) => !/^node_modules\/(?!@portcullis\/)/.test(error))
    return errors.length === 0 || ours.length > 0 ? { code, output: ours.join('\n') } : { code: 0, output: '' }
  }

  /** Runs a file of the project. */
  node(...args: string[]): Promise<Ended> {
    return this.#run(process.execPath, args)
  }

  /** Runs a command that an installed package brings. */
  command(name: string, ...args: string[]): Promise<Ended> {
    return this.#run('npm', ['exec', '--prefix', this.folder, '--offline', '--', name, ...args])
  }

  #run(command: string, args: readonly string[]): Promise<Ended> {
    return new Promise((resolve) => {
      execFile(command, args, { cwd: this.folder, timeout: longestMs, env: ownEnvironment() }, (error, stdout, stderr) => {
        resolve({ code: error === null ? 0 : typeof error.code === 'number' ? error.code : 1, output: stdout + stderr })
      })
    })
  }

  [Symbol.dispose](): void {
    rmSync(this.folder, { recursive: true, force: true })
  }
}

const compilerOptions = {
  target: 'es2024',
  module: 'nodenext',
  types: ['node'],
  strict: true,
  noEmit: true,
  exactOptionalPropertyTypes: true,
  noUncheckedIndexedAccess: true,
  skipLibCheck: false,
}

/** A user's shell: without what the running npm and the test runner put into ours, but with the user's own npm settings. */
function ownEnvironment(): NodeJS.ProcessEnv {
  const foreign = /^(?:npm_(?!config_(?:cache|registry|userconfig|cafile)$)|VITEST|NODE_OPTIONS|NODE_ENV)/
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !foreign.test(name)))
}
