/**
 * Feeds watchers of one store inside one process. The store tells every change in order of revision; each watcher keeps its
 * own map and yields the newest state, so a slow reader costs one map, never a queue (promise 8).
 *
 * Never older after newer: a watcher starts from a list at revision R and drops changes at or below what it has.
 */
import type { Entry, Snapshot } from './store.ts'

export type Change = { readonly key: string; readonly version: number; readonly entry: Entry | null }

type Watcher = {
  prefix: string
  entries: Map<string, Entry>
  revision: number
  /** Something was not yet yielded. */
  dirty: boolean
  wake: (() => void) | null
  error: unknown
  failed: boolean
}

export class WatchHub {
  #watchers = new Set<Watcher>()

  get size(): number {
    return this.#watchers.size
  }

  publish(revision: number, changes: readonly Change[]): void {
    for (const watcher of this.#watchers) {
      let entries: Map<string, Entry> | null = null
      for (const change of changes) {
        if (change.version <= watcher.revision || !change.key.startsWith(watcher.prefix)) continue
        entries ??= new Map(watcher.entries)
        if (change.entry === null) entries.delete(change.key)
        else entries.set(change.key, change.entry)
      }
      if (revision > watcher.revision) watcher.revision = revision
      if (entries === null) continue
      watcher.entries = entries
      this.#touch(watcher)
    }
  }

  /** For a store that can no longer tell what was deleted in between: every watcher starts again from a list. */
  relist(list: (prefix: string) => Snapshot): void {
    for (const watcher of this.#watchers) {
      const snapshot = list(watcher.prefix)
      watcher.entries = new Map(snapshot.entries)
      watcher.revision = snapshot.revision
      this.#touch(watcher)
    }
  }

  fail(error: unknown): void {
    for (const watcher of this.#watchers) {
      watcher.failed = true
      watcher.error = error
      this.#touch(watcher)
    }
  }

  async *watch(prefix: string, signal: AbortSignal, list: () => Snapshot): AsyncGenerator<Snapshot> {
    if (signal.aborted) return
    const start = list()
    const watcher: Watcher = {
      prefix,
      entries: new Map(start.entries),
      revision: start.revision,
      dirty: true,
      wake: null,
      error: null,
      failed: false,
    }
    this.#watchers.add(watcher)
    const onAbort = (): void => this.#touch(watcher)
    signal.addEventListener('abort', onAbort, { once: true })
    try {
      while (!signal.aborted) {
        if (watcher.failed) throw watcher.error
        if (watcher.dirty) {
          watcher.dirty = false
          yield { revision: watcher.revision, entries: watcher.entries }
          continue
        }
        await new Promise<void>((resolve) => {
          watcher.wake = resolve
        })
      }
    } finally {
      this.#watchers.delete(watcher)
      signal.removeEventListener('abort', onAbort)
    }
  }

  #touch(watcher: Watcher): void {
    watcher.dirty = true
    const wake = watcher.wake
    watcher.wake = null
    wake?.()
  }
}
