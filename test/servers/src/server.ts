import { type Child, type ChildOptions, startChild } from './child.ts'
import { privateFolder, removeFolder } from './folder.ts'
import { type Pki, createPki } from './pki.ts'

/** What every started server can do besides its own. */
export interface Running extends AsyncDisposable {
  /** Everything that the server has written so far. */
  log(): string
  /** Ends it for certain; the data stays, for {@link restart}. Also an outage on demand. */
  stop(): Promise<void>
  /** The same server again: ports, data, users. Returns when it is ready. */
  restart(): Promise<void>
  /** Suspends it, as when a host hangs: connections stay open and nothing answers until {@link resume}. */
  pause(): void
  resume(): void
}

/** What every server's options can say. */
export interface ServerOptions {
  /** Who signs the server's certificate, and whose client certificates it accepts. A new authority when absent. */
  pki?: Pki
}

/** The folder and the authority that a new instance starts from. */
export function ground(name: string, options: ServerOptions): { directory: string; pki: Pki } {
  return { directory: privateFolder(name), pki: options.pki ?? createPki() }
}

/** Starts the server's process; its folder goes with it if it does not come up. */
export async function launchServer(options: ChildOptions, beside: { stop(): Promise<void> }[] = []): Promise<Running & { child: Child }> {
  const removeAll = async (): Promise<void> => {
    for (const other of beside) await other.stop()
    removeFolder(options.directory)
  }
  let child: Child
  try {
    child = await startChild(options)
  } catch (error) {
    await removeAll()
    throw error
  }
  const dispose = async (): Promise<void> => {
    await child.stop()
    await removeAll()
  }
  return { ...child, [Symbol.asyncDispose]: dispose, child }
}

let counter = 0

/** A name that no other test has: a topic prefix, a database, a virtual host. Letters, digits and underscores, at most 40. */
export function uniqueName(prefix = 't'): string {
  counter += 1
  return `${prefix}_${process.pid.toString(36)}_${Date.now().toString(36)}_${counter.toString(36)}`
}
