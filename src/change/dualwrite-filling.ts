/** What a run's coverage is measured from, look by look: marks and rows of the old shards, reports of the new fleets, and how fast all of it moves. */
import { allTables } from '../ingest/definition.ts'
import type { TableDefinition } from '../ingest/definition.ts'
import { boundMs, refusalOf, timePartitions } from '../ingest/partitions-ahead.ts'
import type { FleetRecord, FleetReport } from '../topology/dualwrite-records.ts'
import { keys } from '../topology/keys.ts'
import type { ShardRecord } from '../topology/records.ts'
import { listRecords } from '../topology/typed.ts'
import type { WorkflowRecord } from '../workflow/records.ts'
import { fleetsOf } from './branch-positions.ts'
import { branchShards } from './branches.ts'
import { judgeCoverage, readWindows } from './dualwrite-coverage.ts'
import { endsOf, lagOf } from './dualwrite-figures.ts'
import { OldRowsLooks } from './dualwrite-old-rows.ts'
import { pairsOf } from './dualwrite-record.ts'
import { specOf } from './dualwrite-spec.ts'
import type { Coverage } from './dualwrite-spec.ts'
import type { DualWriteWorld } from './dualwrite-world.ts'
import { withServer } from './servers.ts'

type Sample = { readonly atMs: number; readonly ends: bigint; readonly lag: bigint | null; readonly newestMs: number | null }

const boundsEveryMs = 10_000

export class Filling {
  readonly #world: DualWriteWorld
  readonly #signal: AbortSignal
  readonly #oldRows = new OldRowsLooks()
  #samples: Sample[] = []
  #boundsMs: ReadonlyMap<string, readonly number[]> = new Map()
  #boundsAtMs = -Infinity

  constructor(world: DualWriteWorld, signal: AbortSignal) {
    this.#world = world
    this.#signal = signal
  }

  /** May take a minute: coverage is measured meanwhile by what is known. */
  async lookAtOldRows(run: WorkflowRecord): Promise<void> {
    if (specOf(run).allow.includes('history')) return
    const { store, clock } = this.#world
    const { tables, fleets } = await this.#tables(run)
    await this.#oldRows.look(store, await branchShards(this.#world, run.keyspace, 'main'), tables, fleets, clock, this.#signal)
  }

  /** Null: no fleets fill it yet. `working`: a consumer of the new branch is. */
  async measure(run: WorkflowRecord): Promise<{ readonly coverage: Coverage; readonly working: boolean } | null> {
    const { store, clock } = this.#world
    const pairs = await pairsOf(store, run)
    if (pairs.length === 0) return null
    const fresh = pairs.map((pair) => pair.new)
    const reports = (await Promise.all(fresh.map((fleet) => listRecords<FleetReport>(store, keys.fleetReportsOf(fleet.name)))))
      .flat()
      .map((record) => record.value)
    const { tables, fleets } = await this.#tables(run)
    const bucketMs = new Map(tables.flatMap(({ table, bucket }) => (bucket === null ? [] : [[table, bucket.everyMs] as const])))
    const retentionMs = new Map(tables.flatMap((one) => (one.retentionMs === null ? [] : [[one.table, one.retentionMs] as const])))
    const nowMs = clock.nowMs()
    const shards = await branchShards(this.#world, run.keyspace, 'main')
    const windows = await readWindows(this.#world, shards, pairs, bucketMs)
    const unpaired = (await fleetsOf(store, run.keyspace, 'main')).filter((fleet) => !fleets.some(({ name }) => name === fleet.name))
    const lag = lagOf(fresh, reports, nowMs)
    const newestMs = windows === null || windows.length === 0 ? null : Math.max(...windows.map((window) => window.newestMs))
    const rates = this.#rates({ atMs: nowMs, ends: endsOf(reports), lag, newestMs })
    const coverage = judgeCoverage({
      nowMs,
      windows,
      oldRows: specOf(run).allow.includes('history') ? null : this.#oldRows.found(shards, tables, fleets),
      unpaired: unpaired.map((fleet) => fleet.name),
      bucketMs,
      retentionMs,
      boundsMs: await this.#bounds(tables, shards[0]),
      lag,
      lagMost: lagMost(rates.perSecond),
      gainPerSecond: rates.gainPerSecond,
      eventTimeRate: rates.eventTime,
    })
    return { coverage, working: reports.some((report) => report.state === 'running') }
  }

  /** Of all pairs: their tables, and the fleets of the old side whose marks count. */
  async #tables(run: WorkflowRecord): Promise<{ tables: TableDefinition[]; fleets: FleetRecord[] }> {
    const fleets = (await pairsOf(this.#world.store, run)).map((pair) => pair.old)
    const tables = new Map<string, TableDefinition>()
    for (const fleet of fleets)
      for (const one of allTables(await this.#world.loadDefinition(fleet.definitionPath))) tables.set(one.table, one)
    return { tables: [...tables.values()], fleets }
  }

  /** Of an old shard: all have them alike. Seldom asked for; one that can't be read counts as none. */
  async #bounds(tables: readonly TableDefinition[], shard: ShardRecord | undefined): Promise<ReadonlyMap<string, readonly number[]>> {
    const { store, clock } = this.#world
    if (shard === undefined || clock.monotonicMs() - this.#boundsAtMs < boundsEveryMs) return this.#boundsMs
    this.#boundsAtMs = clock.monotonicMs()
    const found = new Map<string, readonly number[]>()
    try {
      await withServer(store, shard.serverId, 'admin', async (connection) => {
        for (const one of tables) {
          const bad = refusalOf(shard.name, one)
          const rows = await timePartitions(connection, shard.schema, one)
          const bounds = rows.flatMap((row) => boundMs(row, one, bad) ?? [])
          if (bounds.length > 0) found.set(one.table, bounds)
        }
      })
      this.#boundsMs = found
    } catch (error) {
      this.#world.log.warn({ shard: shard.name, error }, 'partitions by time can not be read: when rows expire is told without them')
    }
    return this.#boundsMs
  }

  /** Over the last seconds: how fast records come, how fast the new branch gains, how fast event time passes. */
  #rates(sample: Sample): { perSecond: number | null; gainPerSecond: number | null; eventTime: number } {
    this.#samples.push(sample)
    while (this.#samples.length > 2 && sample.atMs - (this.#samples[0]?.atMs ?? 0) > 30_000) this.#samples.shift()
    const first = this.#samples[0]
    const seconds = first === undefined ? 0 : (sample.atMs - first.atMs) / 1000
    if (first === undefined || seconds < 2) return { perSecond: null, gainPerSecond: null, eventTime: 1 }
    const eventMs = sample.newestMs === null || first.newestMs === null ? null : sample.newestMs - first.newestMs
    return {
      perSecond: Number(sample.ends - first.ends) / seconds,
      gainPerSecond: sample.lag === null || first.lag === null ? null : Number(first.lag - sample.lag) / seconds,
      eventTime: eventMs === null || eventMs <= 0 ? 1 : eventMs / (seconds * 1000),
    }
  }
}

/** What arrives in two seconds; of a topic with few records, in ten: batches bring them at once. */
export function lagMost(perSecond: number | null): bigint {
  if (perSecond === null) return 1000n
  return BigInt(Math.ceil(Math.max(20, 2 * perSecond, Math.min(1000, 10 * perSecond))))
}
