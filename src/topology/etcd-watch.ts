/**
 * Watches in etcd, one streamed answer each. The reading loop keeps the newest state and the reader takes it when it is ready, so a slow
 * reader costs one map (promise 8). etcd sends all events of one revision together, so one commit stays one instant.
 *
 * Never older after newer: a watch begins from a list at revision R and asks for R + 1 on; where it breaks off it goes on from the last
 * revision it saw; where that is compacted it lists anew, by quorum, which is never behind what a watch has shown.
 */
import type { Clock } from '../base/clock.ts'
import { isSwError } from '../base/errors.ts'
import type { EtcdClient } from './etcd-client.ts'
import { EtcdError } from './etcd-client.ts'
import { entryOf, keyOf, rangeOf } from './etcd-values.ts'
import type { EtcdKeyValue } from './etcd-values.ts'
import type { Entry, Snapshot } from './store.ts'

export type EtcdWatchesOptions = {
  readonly client: EtcdClient
  readonly prefix: string
  readonly clock: Clock
  readonly requestMs: number
  readonly closed: AbortSignal
  readonly list: (prefix: string) => Promise<Snapshot>
  /** Rejects when the endpoint in use does not answer by quorum. */
  readonly probe: () => Promise<void>
}

type Message = { header?: { revision?: string }; events?: Event[]; canceled?: boolean; compact_revision?: string; cancel_reason?: string }
type Event = { type?: 'PUT' | 'DELETE'; kv: EtcdKeyValue }

const probeEveryMs = 1_000

export class EtcdWatches {
  readonly #options: EtcdWatchesOptions
  /** Streams that are open, with the endpoint each is on. */
  readonly #streams = new Map<AbortController, number>()
  readonly #running = new Set<Promise<void>>()
  #probing = false

  constructor(options: EtcdWatchesOptions) {
    this.#options = options
  }

  /** When all reading loops have ended: after `closed`. */
  async ended(): Promise<void> {
    await Promise.allSettled(this.#running)
  }

  async *watch(prefix: string, signal: AbortSignal): AsyncGenerator<Snapshot> {
    const { closed, list } = this.#options
    const stop = new AbortController()
    const until = AbortSignal.any([signal, closed, stop.signal])
    if (until.aborted) return
    const state = new WatchedState(await list(prefix))
    const reading = this.#read(prefix, state, until).catch((error: unknown) => state.fail(error))
    this.#running.add(reading)
    void reading.finally(() => this.#running.delete(reading))
    void this.#keepProbing()
    const onAbort = (): void => state.wake()
    until.addEventListener('abort', onAbort, { once: true })
    try {
      while (!until.aborted) {
        const snapshot = state.take()
        if (snapshot !== null) yield snapshot
        else await state.changed()
      }
    } finally {
      stop.abort()
      until.removeEventListener('abort', onAbort)
    }
  }

  /** Follows etcd until told to stop, whatever becomes of connections and endpoints; rejects only for what no waiting would mend. */
  async #read(prefix: string, state: WatchedState, until: AbortSignal): Promise<void> {
    const { client, clock } = this.#options
    for (let pauseMs = 20; !until.aborted; pauseMs = Math.min(pauseMs * 2, 500)) {
      const stream = new AbortController()
      const at = client.at
      this.#streams.set(stream, at)
      const startedMs = clock.monotonicMs()
      try {
        await this.#follow(prefix, state, AbortSignal.any([until, stream.signal]))
      } catch (error) {
        if (until.aborted) return
        if (!(error instanceof EtcdError) && !(isSwError(error) && error.class === 'transient')) throw error
        // A refusal may be a token that is over; the list that comes next tells a refusal that lasts.
        if (error instanceof EtcdError && error.failure === 'refused') {
          client.forgetToken()
          state.replace(await this.#options.list(prefix))
        } else if (!stream.signal.aborted) client.rotate(at)
      } finally {
        stream.abort()
        this.#streams.delete(stream)
      }
      if (until.aborted) return
      if (clock.monotonicMs() - startedMs > 5_000) pauseMs = 20
      await clock.sleep(pauseMs, until).catch(() => undefined)
    }
  }

  async #follow(prefix: string, state: WatchedState, signal: AbortSignal): Promise<void> {
    const { client, requestMs, list } = this.#options
    const range = rangeOf(this.#options.prefix + prefix)
    const request = { create_request: { ...range, start_revision: String(state.revision + 1) } }
    for await (const raw of client.stream('/v3/watch', request, requestMs, signal)) {
      const message = raw as Message
      if (message.canceled === true) {
        if (Number(message.compact_revision ?? 0) > 0) state.replace(await list(prefix))
        else client.forgetToken()
        return
      }
      const changes = (message.events ?? []).map(({ type, kv }) => ({
        key: keyOf(kv, this.#options.prefix),
        entry: type === 'DELETE' ? null : entryOf(kv, this.#options.prefix),
        version: Number(kv.mod_revision ?? 0),
      }))
      if (changes.length > 0) state.apply(changes)
    }
  }

  /** While there are watches: a second without an answer by quorum moves them all. */
  async #keepProbing(): Promise<void> {
    if (this.#probing) return
    this.#probing = true
    const { client, clock, closed, probe } = this.#options
    try {
      while (this.#running.size > 0 && !closed.aborted) {
        const at = client.at
        try {
          await probe()
        } catch {
          client.rotate(at)
        }
        for (const [stream, on] of this.#streams) if (on !== client.at) stream.abort()
        await clock.sleep(probeEveryMs, closed)
      }
    } catch {
      // Closed.
    } finally {
      this.#probing = false
    }
  }
}

/** The newest state of a watch, and whether its reader has it. */
class WatchedState {
  #entries: Map<string, Entry>
  #dirty = true
  #failed: { error: unknown } | null = null
  #wake: (() => void) | null = null
  revision: number

  constructor(first: Snapshot) {
    this.#entries = new Map(first.entries)
    this.revision = first.revision
  }

  /** In the order of keys, as a list gives them. */
  take(): Snapshot | null {
    if (this.#failed !== null) throw this.#failed.error
    if (!this.#dirty) return null
    this.#dirty = false
    return { revision: this.revision, entries: new Map([...this.#entries].toSorted(([a], [b]) => (a < b ? -1 : 1))) }
  }

  changed(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve
      if (this.#dirty || this.#failed !== null) this.wake()
    })
  }

  apply(changes: readonly { key: string; entry: Entry | null; version: number }[]): void {
    const seen = this.revision
    for (const { key, entry, version } of changes) {
      if (version <= seen) continue
      if (entry === null) this.#entries.delete(key)
      else this.#entries.set(key, entry)
    }
    this.revision = Math.max(this.revision, ...changes.map(({ version }) => version))
    this.#touch()
  }

  replace(snapshot: Snapshot): void {
    if (snapshot.revision < this.revision) return
    this.#entries = new Map(snapshot.entries)
    this.revision = snapshot.revision
    this.#touch()
  }

  fail(error: unknown): void {
    this.#failed = { error }
    this.wake()
  }

  wake(): void {
    const wake = this.#wake
    this.#wake = null
    wake?.()
  }

  #touch(): void {
    this.#dirty = true
    this.wake()
  }
}
