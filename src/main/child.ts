/**
 * What every child process does alike: it says that it is ready, ends when told or when its parent is gone, and ends
 * within a bound whatever its work is doing. Told a second time, it ends at once.
 */
import type { SendHandle } from 'node:child_process'
import { flushCompileCache } from 'node:module'
import type { Log } from '../base/log.ts'
import { watchParent } from '../local/parent-watch.ts'

/** Of ending its work, where nobody says more; and of what is left to do when that is over. */
const workMs = 1000
const endMs = 500
/** A supervisor may tell a whole group of processes to end, and we tell our children: that is once. */
export const sameMs = 500

/** `id`: of the process, where the topology knows it by one. With a gate's comes the socket that it listens on. */
export type ReadyMessage = { readonly ready: true; readonly port: number | null; readonly id?: string }

/** From the parent, when it has told to end already: at once. */
export type HurryMessage = { readonly hurry: true }

export type Child = {
  /** Aborts when the process is to end. */
  readonly stopping: AbortSignal
  ready(port: number | null, of?: { readonly id: string; readonly listener: unknown }): void
  /** Ends the process with code 1 after logging. */
  fail(error: unknown): void
}

/** Resolves when it is out, or nobody is there to be told. */
export function tellParent(message: object): Promise<void> {
  if (process.send === undefined || !process.connected) return Promise.resolve()
  return new Promise((resolve) => process.send?.(message, undefined, undefined, () => resolve()))
}

/**
 * `drain` ends the work; the process exits when it is done, or after a bound.
 * @param drain gets what aborts when there is no more time
 * @param drainMs how long it may take when it is asked to end; when the parent is gone it is a second
 */
export function runChild(log: Log, drain: (hurry: AbortSignal) => Promise<void>, drainMs = workMs): Child {
  const stop = new AbortController()
  const hurry = new AbortController()
  let toldMs = 0
  const endNow = (why: string): void => {
    if (hurry.signal.aborted) return
    log.info({ why }, 'ending at once')
    hurry.abort(new Error(why))
    setTimeout(() => process.exit(0), endMs).unref()
  }
  const end = (why: string, withinMs: number): void => {
    if (stop.signal.aborted) {
      if (performance.now() - toldMs > sameMs) endNow(why)
      return
    }
    toldMs = performance.now()
    log.info({ why }, 'ending')
    stop.abort(new Error(why))
    setTimeout(() => endNow('the time to end is over'), withinMs).unref()
    drain(hurry.signal)
      .catch((error: unknown) => log.error({ error }, 'draining failed'))
      .finally(() => process.exit(0))
  }
  process.on('SIGTERM', () => end('told by SIGTERM', drainMs))
  // Ctrl-C reaches the whole process group: the parent decides.
  process.on('SIGINT', () => {})
  process.on('message', (message) => {
    if ((message as Partial<HurryMessage>).hurry === true) endNow('there is no more time')
  })
  watchParent({ onGone: (sign) => end(sign, Math.min(workMs, drainMs)) })
  const fail = (error: unknown): void => {
    log.error({ error }, 'this process cannot go on')
    process.exitCode = 1
    setTimeout(() => process.exit(1), 50)
  }
  process.on('uncaughtException', fail)
  process.on('unhandledRejection', fail)
  return {
    stopping: stop.signal,
    ready: (port, of) => {
      const message: ReadyMessage = { ready: true, port, ...(of === undefined ? {} : { id: of.id }) }
      process.send?.(message, of?.listener as SendHandle | undefined)
      // Node writes it at an orderly exit only. Whoever finds it has no types to strip: a mover starts in a third of the CPU time, and is 20 MB smaller.
      flushCompileCache()
    },
    fail,
  }
}
