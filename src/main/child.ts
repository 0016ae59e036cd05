/**
 * What every child process does alike: it says that it is ready, ends when told or when its parent is gone, and ends
 * within a bound whatever its work is doing.
 */
import { flushCompileCache } from 'node:module'
import type { Log } from '../base/log.ts'
import { watchParent } from '../local/parent-watch.ts'

const drainMs = 1500

export type ReadyMessage = { readonly ready: true; readonly port: number | null }

export type Child = {
  /** Aborts when the process is to end. */
  readonly stopping: AbortSignal
  ready(port: number | null): void
  /** Ends the process with code 1 after logging. */
  fail(error: unknown): void
}

/** `drain` ends the work; the process exits when it is done, or after a bound. */
export function runChild(log: Log, drain: () => Promise<void>): Child {
  const stop = new AbortController()
  const end = (why: string): void => {
    if (stop.signal.aborted) return
    log.info({ why }, 'ending')
    stop.abort(new Error(why))
    setTimeout(() => process.exit(0), drainMs).unref()
    drain()
      .catch((error: unknown) => log.error({ error }, 'draining failed'))
      .finally(() => process.exit(0))
  }
  process.on('SIGTERM', () => end('told by SIGTERM'))
  // Ctrl-C reaches the whole process group: the parent decides.
  process.on('SIGINT', () => {})
  watchParent({ onGone: (sign) => end(sign) })
  const fail = (error: unknown): void => {
    log.error({ error }, 'this process cannot go on')
    process.exitCode = 1
    setTimeout(() => process.exit(1), 50)
  }
  process.on('uncaughtException', fail)
  process.on('unhandledRejection', fail)
  return {
    stopping: stop.signal,
    ready: (port) => {
      process.send?.({ ready: true, port } satisfies ReadyMessage)
      // Node writes it at an orderly exit only. Whoever finds it has no types to strip: a mover starts in a third of the CPU time, and is 20 MB smaller.
      flushCompileCache()
    },
    fail,
  }
}
