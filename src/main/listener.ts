/**
 * The socket that a gate listens on, kept by its parent too: while one process ends and another takes its place, clients that connect wait in the
 * socket's queue, and none is refused. (A socket of its own, closed, would have the system cut off those that stand in its queue, also where others
 * share the port: SO_REUSEPORT deals clients out to queues, one for each socket.)
 */
import type { ChildProcess, SendHandle } from 'node:child_process'

/** What Node hands over between processes; it listens nowhere until a server does with it. */
export type Listener = SendHandle & { close?(): void }

export function handOver(child: ChildProcess, listener: Listener): void {
  // One that has ended already: whoever waits for it to be ready hears of that.
  child.send({ listener: true }, listener, () => undefined)
}

/** In the child: what its parent hands over. */
export function adoptedListener(): Promise<object> {
  return new Promise((resolve) => {
    const take = (message: unknown, handle: unknown): void => {
      if ((message as { listener?: unknown }).listener !== true || typeof handle !== 'object' || handle === null) return
      process.off('message', take)
      resolve(handle)
    }
    process.on('message', take)
  })
}
