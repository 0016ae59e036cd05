/**
 * Follows the topology and keeps the newest `View`. Each prefix is watched by itself; a view is made once all have been
 * read, and again after each change. A record that can't be read (a newer format) leaves the last view standing and is
 * logged: a gate never guesses.
 */
import type { Clock } from '../base/clock.ts'
import type { Log } from '../base/log.ts'
import { keys } from '../topology/keys.ts'
import type { Snapshot, Store } from '../topology/store.ts'
import type { StreamRecord } from '../topology/records.ts'
import { listRecords, recordsOf } from '../topology/typed.ts'
import { buildView, emptyView, type Records, type ShardTraffic, type View } from './view.ts'

const prefixes: Readonly<Record<keyof Records, string>> = {
  keyspaces: keys.keyspaces,
  shards: keys.allShards,
  servers: keys.servers,
  secrets: 'secrets/',
  vschemas: keys.vschemas,
  ddls: keys.ddls,
  routings: keys.routings,
  users: keys.users,
  reads: keys.allReads,
}
/** A shard's server may be another one while its routing stays as it is. */
const whoServes = ['routings', 'shards', 'servers', 'secrets'] as const
const names = Object.keys(prefixes) as (keyof Records)[]

export class TopologyWatch {
  readonly #store: Store
  readonly #clock: Clock
  readonly #log: Log
  readonly #snapshots: Partial<Records> = {}
  readonly #traffic = new Map<string, ShardTraffic>()
  readonly #listeners: ((view: View, before: View) => void)[] = []
  readonly #stop = new AbortController()
  #loops: Promise<void>[] = []
  view: View = emptyView
  #ready = false
  #refreshing: Promise<void> | null = null

  constructor(store: Store, clock: Clock, log: Log) {
    this.#store = store
    this.#clock = clock
    this.#log = log
  }

  /** Resolves when the first view is here. */
  async start(): Promise<void> {
    await this.refresh()
    this.#loops = names.map((name) => this.#follow(name))
  }

  onChange(listener: (view: View, before: View) => void): void {
    this.#listeners.push(listener)
  }

  /** Reads everything anew, whatever the watches have told so far. Rejects when the store does not answer. */
  async refresh(): Promise<void> {
    const read = await Promise.all(names.map((name) => this.#store.list(prefixes[name])))
    let changed = !this.#ready
    for (const [i, name] of names.entries()) changed = this.#accept(name, read[i] as Snapshot) || changed
    if (changed) this.#rebuild()
  }

  /**
   * Who serves, and where. One read at a time serves all who ask: those that come while it is under way may get what was true just before.
   */
  refreshRouting(): Promise<void> {
    this.#refreshing ??= this.#readRouting().finally(() => {
      this.#refreshing = null
    })
    return this.#refreshing
  }

  async #readRouting(): Promise<void> {
    const read = await Promise.all(whoServes.map((name) => this.#store.list(prefixes[name])))
    let changed = false
    for (const [i, name] of whoServes.entries()) changed = this.#accept(name, read[i] as Snapshot) || changed
    if (changed) this.#rebuild()
  }

  /** What is moved just now; asked of the store, as nobody needs it often. */
  async streams(): Promise<readonly StreamRecord[]> {
    return (await listRecords<StreamRecord>(this.#store, keys.streams)).map(({ value }) => value)
  }

  /** Traffic of shards that no view names any more and where nothing runs is forgotten. */
  trafficOf(uid: string): ShardTraffic {
    let traffic = this.#traffic.get(uid)
    if (traffic === undefined) {
      traffic = { uid, writes: 0, transactions: new Set() }
      this.#traffic.set(uid, traffic)
    }
    return traffic
  }

  /** Rolls back what is open on shards that serve nothing: none of it can go on. */
  expelStrangers(): void {
    const serving = new Set<string>()
    const keyspaceOf = new Map<string, string>()
    for (const keyspace of this.view.keyspaces.values()) {
      for (const shard of keyspace.shards) serving.add(shard.uid)
      for (const component of keyspace.components) for (const uid of component.uids) keyspaceOf.set(uid, keyspace.name)
    }
    for (const [uid, traffic] of this.#traffic) {
      if (serving.has(uid)) continue
      for (const transaction of traffic.transactions) transaction.expel(keyspaceOf.get(uid) ?? 'its keyspace')
    }
  }

  existingTraffic(uid: string): ShardTraffic | undefined {
    return this.#traffic.get(uid)
  }

  async stop(): Promise<void> {
    this.#stop.abort()
    await Promise.allSettled(this.#loops)
  }

  async #follow(name: keyof Records): Promise<void> {
    while (!this.#stop.signal.aborted) {
      try {
        for await (const snapshot of this.#store.watch(prefixes[name], this.#stop.signal)) {
          if (this.#accept(name, snapshot)) this.#rebuild()
        }
      } catch (error) {
        if (this.#stop.signal.aborted) return
        this.#log.warn({ prefix: prefixes[name], error: String(error) }, 'watch of the topology broke; starting again')
        await this.#clock.sleep(100, this.#stop.signal).catch(() => {})
      }
    }
  }

  /** False when nothing of it is new. An older snapshot never replaces a newer one. */
  #accept(name: keyof Records, snapshot: Snapshot): boolean {
    const have = this.#snapshots[name]
    if (have !== undefined && snapshot.revision < have.revision) return false
    try {
      recordsOf(snapshot)
    } catch (error) {
      this.#log.error(
        { prefix: prefixes[name], error: String(error) },
        'a record of the topology can not be read; going on with what was known',
      )
      return false
    }
    this.#snapshots[name] = snapshot
    return have === undefined || !sameEntries(have, snapshot)
  }

  #rebuild(): void {
    if (names.some((name) => this.#snapshots[name] === undefined)) return
    this.#ready = true
    const before = this.view
    this.view = buildView(this.#snapshots as Records, (uid) => this.trafficOf(uid))
    const named = new Set([...this.view.keyspaces.values()].flatMap((k) => k.components.flatMap((c) => c.uids)))
    for (const [uid, traffic] of this.#traffic) {
      if (!named.has(uid) && traffic.writes === 0 && traffic.transactions.size === 0) this.#traffic.delete(uid)
    }
    for (const listener of this.#listeners) listener(this.view, before)
  }
}

function sameEntries(a: Snapshot, b: Snapshot): boolean {
  if (a.entries.size !== b.entries.size) return false
  for (const [key, entry] of a.entries) if (b.entries.get(key)?.version !== entry.version) return false
  return true
}
