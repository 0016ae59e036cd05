/**
 * What the planner asks of keyspaces and tables (plan/catalog.ts), over the watched vschema and over columns read from the first
 * shard that serves. Columns are read anew after DDL through any gate, after a change of vschema or routing, and when they
 * are older than a bound: DDL may come past the gates. Until then others may be known than there are: what would be lost or stored
 * elsewhere by that asks the servers first (gather-fill.ts, moved-rows.ts), and INSERT names its columns (plan/insert-plan.ts).
 *
 * That a table is not there is believed for the statement that has asked and for a moment (`absentMs`): made past the gates, it would be read on one shard, and its rows be stored there. In that moment
 * nothing is written by it either: to a table that nobody knows a write is planned for no shard (plan/planner.ts).
 */
import { isSwError } from '../base/errors.ts'
import { unlessAborted } from '../base/unless-aborted.ts'
import { readVschema } from '../keyspace/vschema.ts'
import { resolveVschema, type ResolvedTable, type ResolvedVschema } from '../keyspace/vschema-resolve.ts'
import { branchKeyspace } from '../topology/dualwrite-records.ts'
import type { Catalog, KeyspaceInfo, StoredFunctions, TableColumns } from './plan/catalog.ts'
import { readColumns, readStoredFunctions } from './columns.ts'
import type { Core } from './core.ts'
import { innerConnection } from './inner-statements.ts'
import type { KeyspaceView, ShardView } from './view.ts'
import { askedWithin, type Within } from './within.ts'

const columnsMaxAgeMs = 60_000
/** What is wrong by columns that are older is looked at again by new ones: a statement that the planner refuses, and one that a server did. */
export const doubtedAgeMs = { planned: 3_000, refused: 200 } as const
const readsMax = 20
/** Those who waited for one answer have planned by it. */
const absentMs = 20

type TableKind = ResolvedTable['kind']
type Loaded = { columns: TableColumns | null; atMs: number }

class KeyspaceEntry implements KeyspaceInfo {
  readonly name: string
  readonly vschema: ResolvedVschema
  schemaNamesEqual: boolean
  readonly vschemaVersion: number
  ddlVersion: number
  shardsKey: string
  /** Times that columns were forgotten: those being read meanwhile may be of before. */
  forgotten = 0
  readonly loaded = new Map<string, Loaded>()
  readonly #now: () => number
  functions: StoredFunctions | undefined = undefined
  functionsAtMs = 0

  constructor(view: KeyspaceView, now: () => number) {
    this.#now = now
    this.name = view.name
    this.vschemaVersion = view.vschemaVersion
    this.ddlVersion = view.ddlVersion
    this.shardsKey = shardsKey(view)
    this.schemaNamesEqual = namesEqual(view)
    const { sharded } = view.record
    this.vschema = { ...resolveVschema(view.vschema === null ? { sharded } : readVschema(view.vschema.vschema)), sharded }
  }

  columns(table: string): TableColumns | null | undefined {
    const loaded = this.loaded.get(table)
    return loaded?.columns === null && this.isOld(loaded) ? undefined : loaded?.columns
  }

  /** Of a table that was not there. */
  isOld({ atMs }: Loaded, sinceMs = this.#now()): boolean {
    return atMs < sinceMs - absentMs
  }
}

export class GateCatalog implements Catalog {
  readonly #core: Core
  readonly #entries = new Map<string, KeyspaceEntry | null>()
  readonly #loading = new Map<string, Promise<void>>()
  #view: unknown = null
  #generation = 1
  /** Of what is being planned. */
  #sinceMs: number | null = null

  constructor(core: Core) {
    this.#core = core
  }

  /** Asked for each statement, those whose plan is known too: so it is what must look at the topology. */
  get generation(): number {
    if (this.#view !== this.#core.watch.view) this.#follow()
    return this.#generation
  }

  keyspace(name: string): KeyspaceInfo | undefined {
    if (this.#view !== this.#core.watch.view) this.#follow()
    return this.#entry(name) ?? undefined
  }

  /** Plans, believing what was known at a time: to read a long text takes longer than that a table is not there is believed. */
  asOf<T>(plan: () => T, sinceMs = this.#core.clock.monotonicMs()): T {
    this.#sinceMs = sinceMs
    try {
      return plan()
    } finally {
      this.#sinceMs = null
    }
  }

  /** Reads columns that the planner asked for. When they were all known. */
  async load(keyspace: string, tables: readonly string[], signal: AbortSignal): Promise<number> {
    // Stored functions come with any table.
    await Promise.all((tables.length === 0 ? [null] : tables).map((table) => this.#load(keyspace, table, signal)))
    // One that is not there is told sooner than what others are: by when the last is known it would be asked for anew, and so without end.
    const atMs = this.#core.clock.monotonicMs()
    const loaded = this.#entries.get(keyspace)?.loaded
    for (const table of tables) {
      const found = loaded?.get(table)
      if (found?.columns === null) found.atMs = atMs
    }
    return atMs
  }

  /** After DDL, or an error that says columns are others than known. */
  forget(keyspace: string, tables?: readonly string[]): void {
    const entry = this.#entries.get(keyspace)
    if (entry === null || entry === undefined) return
    entry.functions = undefined
    if (tables === undefined) entry.loaded.clear()
    else for (const table of tables) entry.loaded.delete(table)
    entry.forgotten++
    this.#generation++
  }

  /**
   * After an error that may come of columns of before: those of the tables that are named are read again. A statement that is simply wrong costs that, and no plan of others.
   * @param named words of the statement, in lower case
   * @param ageMs what was read later than so long ago is new
   * @returns whether any are others now
   */
  async doubt(named: ReadonlySet<string>, ageMs: number, signal: AbortSignal): Promise<boolean> {
    const before = this.#generation
    const limit = this.#core.clock.monotonicMs() - ageMs
    const loads: Promise<void>[] = []
    for (const [keyspace, entry] of this.#entries) {
      const old = [...(entry?.loaded ?? [])].filter(([table, { atMs }]) => atMs < limit && named.has(table.toLowerCase()))
      if (entry === null || old.length === 0) continue
      // What is being read already is not begun anew for each who doubts: it is of a moment ago.
      if (!old.some(([table]) => this.#loading.has(`${keyspace}/${table}`))) entry.forgotten++
      for (const [table] of old) loads.push(this.#load(keyspace, table, signal))
    }
    await Promise.all(loads)
    return this.#generation !== before
  }

  #entry(name: string): KeyspaceEntry | null {
    const known = this.#entries.get(name)
    if (known !== undefined) return known
    const view = this.#core.watch.view.keyspaces.get(name)
    if (view === undefined) return null
    const made = new KeyspaceEntry(view, () => this.#sinceMs ?? this.#core.clock.monotonicMs())
    this.#entries.set(name, made)
    return made
  }

  #follow(): void {
    const view = this.#core.watch.view
    this.#view = view
    for (const [name, entry] of this.#entries) {
      const now = view.keyspaces.get(name)
      if (
        entry === null ||
        now === undefined ||
        now.vschemaVersion !== entry.vschemaVersion ||
        now.record.sharded !== entry.vschema.sharded
      ) {
        this.#entries.delete(name)
        this.#generation++
        continue
      }
      if (now.ddlVersion !== entry.ddlVersion) {
        entry.ddlVersion = now.ddlVersion
        this.forget(name)
      }
      if (shardsKey(now) === entry.shardsKey) continue
      entry.shardsKey = shardsKey(now)
      // The same tables stand on the new side: columns stay, only the databases' names may differ.
      if (entry.schemaNamesEqual !== namesEqual(now)) {
        entry.schemaNamesEqual = namesEqual(now)
        this.#generation++
      }
    }
  }

  /**
   * Columns that are old are read again beside the statement that found them so.
   * @param sinceMs when it began to be planned: what it has asked for since, it believes
   * @returns some were not there, which may be otherwise by now: the statement waits for `load`, and is planned again
   */
  refreshOld(keyspace: string, tables: readonly string[], sinceMs?: number): boolean {
    const entry = this.#entries.get(keyspace)
    if (entry === null || entry === undefined) return false
    let absent = false
    const limit = this.#core.clock.monotonicMs() - columnsMaxAgeMs
    // A statement without tables has nothing else that would bring them.
    if (tables.length === 0 && entry.functions !== undefined && entry.functionsAtMs <= limit) {
      entry.functionsAtMs = Number.MAX_SAFE_INTEGER
      void this.#load(keyspace, null).catch(() => {})
    }
    for (const table of tables) {
      const loaded = entry.loaded.get(table)
      if (loaded === undefined) continue
      if (loaded.columns === null) absent ||= entry.isOld(loaded, sinceMs)
      else if (loaded.atMs <= limit) {
        loaded.atMs = Number.MAX_SAFE_INTEGER
        void this.#load(keyspace, table).catch(() => {})
      }
    }
    return absent
  }

  /** One reads for all who wait; none of them can end it for the others, and each may leave. */
  #load(keyspace: string, table: string | null, signal?: AbortSignal): Promise<void> {
    const key = `${keyspace}/${table ?? ''}`
    let loading = this.#loading.get(key)
    if (loading === undefined) {
      loading = this.#read(keyspace, table).finally(() => this.#loading.delete(key))
      this.#loading.set(key, loading)
    }
    return unlessAborted(loading, signal)
  }

  /** @param table null: stored functions only */
  async #read(keyspace: string, table: string | null): Promise<void> {
    const { signal } = new AbortController()
    for (let attempt = 0; ; attempt++) {
      const view = await this.#core.ready(servingName(this.#core.keyspace(keyspace)), signal)
      const shard = view.shards[0] as ShardView
      const asked = this.#entry(keyspace)
      const forgotten = asked?.forgotten
      try {
        const kind = table === null ? undefined : asked?.vschema.tables.get(table)?.kind
        const { functions, columns } = await askedWithin(this.#core, this.#core.config.sharedReadMs, shard, (within) =>
          this.#ask(within, shard, table, kind),
        )
        const entry = this.#entry(keyspace)
        if (entry === null) return
        // There was DDL meanwhile: what was read may be of before it.
        if (attempt < readsMax && (entry !== asked || entry.forgotten !== forgotten)) continue
        const before = table === null ? null : entry.loaded.get(table)?.columns
        if (table !== null) entry.loaded.set(table, { columns, atMs: this.#core.clock.monotonicMs() })
        const others = listed(functions) !== listed(entry.functions)
        entry.functions = functions
        entry.functionsAtMs = this.#core.clock.monotonicMs()
        if (others || JSON.stringify(before, bigintText) !== JSON.stringify(columns, bigintText)) this.#generation++
        return
      } catch (error) {
        if (attempt >= readsMax || (isSwError(error) && error.class === 'user' && !isSwError(error, 'SW-MYSQL-001'))) throw error
        await this.#core.afterRefusal(shard, view.version, attempt, 0, signal, error as Error)
      }
    }
  }

  async #ask(
    within: Within,
    shard: ShardView,
    table: string | null,
    kind: TableKind | undefined,
  ): Promise<{ functions: StoredFunctions; columns: TableColumns | null }> {
    const backend = await innerConnection(this.#core, shard, '')
    within.uses(backend.connection)
    try {
      const functions = await readStoredFunctions(backend.connection, shard.schema)
      return { functions, columns: table === null ? null : await readColumns(backend.connection, shard.schema, table, kind) }
    } finally {
      within.done(backend.connection)
      backend.pool.give(backend)
    }
  }
}

/** Once all reads are on a branch, nothing asks the old servers any more: whoever gives them up looks for who reads them. */
function servingName(view: KeyspaceView): string {
  const rule = view.reads?.rule
  return rule === undefined || rule.to === null || rule.moved < rule.slots ? view.name : branchKeyspace(view.name, rule.to)
}

function listed(functions: StoredFunctions | undefined): string {
  return functions === undefined
    ? ''
    : [functions.all, functions.reading, functions.varying, functions.aggregates].map((names) => [...names].join()).join(' ')
}

function bigintText(_key: string, value: unknown): unknown {
  return typeof value === 'bigint' ? String(value) : value
}

function shardsKey(view: KeyspaceView): string {
  return `${view.shards.map((s) => s.uid).join(' ')}${view.reads === null ? '' : ' branches'}`
}

function namesEqual(view: KeyspaceView): boolean {
  // Of a keyspace with branches reads may go to schemas of other names.
  return view.reads === null && view.shards.every((s) => s.schema === view.name)
}
