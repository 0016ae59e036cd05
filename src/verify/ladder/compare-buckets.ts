/**
 * Comparable buckets of both branches, aggregated by each shard in the snapshot that its marks were read in, and added up by hash range: the
 * shards of the old side and of the new that cover exactly the same key range hold the same rows of such a bucket, as sets.
 */
import { readTableDefinitions } from '../../binlog/table-definitions.ts'
import { judgeBuckets } from '../../ingest/decide.ts'
import type { LackingRecords } from '../../ingest/decide.ts'
import { allTables } from '../../ingest/definition.ts'
import type { TableDefinition } from '../../ingest/definition.ts'
import { components } from '../../keyspace/key-range-sets.ts'
import { keyRangesEqual, parseKeyRange, printKeyRange } from '../../keyspace/key-range.ts'
import type { ColumnDefinition } from '../../binlog/source.ts'
import { verifyErrors } from '../errors.ts'
import type { SideColumn } from '../row-text.ts'
import type { LadderFinding } from './evidence.ts'
import { aggregateSql, digits, noAggregate, rowsSql, sideColumns } from './buckets-sql.ts'
import { sumMask } from '../digest-sum.ts'
import type { BucketAggregate } from './buckets-sql.ts'
import type { ShardSnapshot, Snapshots } from './snapshot.ts'
import { marksOf, startsOf } from './snapshot.ts'
import type { LadderWorld } from './world.ts'

export type RangeGroup = { readonly range: string; readonly old: readonly ShardSnapshot[]; readonly new: readonly ShardSnapshot[] }

export function rangeGroups(snapshots: Snapshots): RangeGroup[] {
  const range = (snapshot: ShardSnapshot): ReturnType<typeof parseKeyRange> => parseKeyRange(snapshot.ref.shard)
  return components(snapshots.old.map(range), snapshots.new.map(range)).map((component) => ({
    range: printKeyRange(component.range),
    old: snapshots.old.filter((shard) => component.sources.some((other) => keyRangesEqual(other, range(shard)))),
    new: snapshots.new.filter((shard) => component.targets.some((other) => keyRangesEqual(other, range(shard)))),
  }))
}

export type Chosen = {
  /** Ascending runs, the newest last: what is between two of them is not read. */
  readonly runs: readonly (readonly number[])[]
  /** Records that one branch lacks, by the marks of all buckets. */
  readonly lacking: readonly LackingRecords[]
  /** How many others of those that are kept cannot be compared: open, begun before a branch was, or not the same records by event ids. */
  readonly notComparable: number
  /** Says that all of them were compared. */
  readonly compared: () => void
}

/** Of one table: all, or the newest `bucketsMax` and the next of the round over the others. */
export async function comparable(world: LadderWorld, snapshots: Snapshots, table: string): Promise<Chosen> {
  const byId = world.pairs.some(({ definition }) => allTables(definition).some((one) => one.table === table && one.eventId !== null))
  const judged = judgeBuckets(
    { start: startsOf(world.pairs.map((pair) => pair.old)), shards: await marksOf(snapshots.old, table) },
    { start: startsOf(world.pairs.map((pair) => pair.new)), shards: await marksOf(snapshots.new, table) },
    byId ? 'by event id' : 'each record',
  )
  const { comparable: all, lacking } = judged
  const notComparable = judged.notComparable.length
  const { bucketsMax, round } = world.options
  if (bucketsMax === 0) return { runs: all.length === 0 ? [] : [all], lacking, notComparable, compared: () => undefined }
  const newest = all.slice(-bucketsMax)
  const older = round?.next(table, all.slice(0, -bucketsMax)) ?? []
  return { runs: [older, newest].filter((run) => run.length > 0), lacking, notComparable, compared: () => round?.compared(table, older) }
}

/** By table and partition, as findings: what marks alone prove. */
export function lackingFindings(table: string, lacking: readonly LackingRecords[]): LadderFinding[] {
  const text = (last: bigint | null): string => (last === null ? 'no record' : `up to offset ${last}`)
  return lacking.map(({ bucketMs, partition, a, b }) => ({
    what: 'records that one branch lacks',
    where: `${table}, bucket ${new Date(bucketMs).toISOString()}, topic partition ${partition}`,
    old: text(a),
    new: text(b),
  }))
}

export type Definitions = ReadonlyMap<string, ReadonlyMap<string, readonly ColumnDefinition[]>>

export async function readAllDefinitions(snapshots: Snapshots, tables: readonly { readonly table: string }[]): Promise<Definitions> {
  const names = tables.map(({ table }) => table)
  const found = new Map<string, ReadonlyMap<string, readonly ColumnDefinition[]>>()
  for (const shard of [...snapshots.old, ...snapshots.new])
    found.set(shard.ref.uid, await readTableDefinitions(shard.connection, shard.ref.schema, names))
  return found
}

/** By shard uid. @throws SW-VERIFY-003, -004 when a table or column is missing somewhere */
export function columnsOfTable(
  definitions: Definitions,
  snapshots: Snapshots,
  table: string,
  names: readonly string[],
): Map<string, SideColumn[]> {
  const shards = [...snapshots.old, ...snapshots.new]
  const columns = shards.map((shard) => {
    const own = definitions.get(shard.ref.uid)?.get(table)
    if (own === undefined) throw verifyErrors.tableMissing({ table, shard: `${shard.branch}/${shard.ref.shard}` })
    for (const name of names)
      if (!own.some((column) => column.name.toLowerCase() === name.toLowerCase()))
        throw verifyErrors.columnMissing({ column: name, table, shard: `${shard.branch}/${shard.ref.shard}` })
    return own
  })
  const made = sideColumns(names, columns)
  return new Map(shards.map((shard, i) => [shard.ref.uid, made.get(i) ?? []]))
}

export type Difference = {
  readonly group: RangeGroup
  readonly bucketMs: number
  readonly old: BucketAggregate
  readonly new: BucketAggregate
}

export type Compared = { readonly buckets: number; readonly rows: bigint; readonly differences: readonly Difference[] }

/** One table: every chosen bucket in every hash range. */
export async function compareTable(
  snapshots: Snapshots,
  definition: TableDefinition,
  chosen: Chosen,
  sums: readonly string[],
  digested: ReadonlyMap<string, readonly SideColumn[]>,
): Promise<Compared> {
  let [buckets, rows] = [0, 0n]
  const differences: Difference[] = []
  for (const run of chosen.runs) {
    const compared = await compareRun(snapshots, definition, run, sums, digested)
    buckets += compared.buckets
    rows += compared.rows
    differences.push(...compared.differences)
  }
  chosen.compared()
  return { buckets, rows, differences }
}

async function compareRun(
  snapshots: Snapshots,
  definition: TableDefinition,
  buckets: readonly number[],
  sums: readonly string[],
  digested: ReadonlyMap<string, readonly SideColumn[]>,
): Promise<Compared> {
  const low = buckets[0]
  const last = buckets.at(-1)
  if (low === undefined || last === undefined) return { buckets: 0, rows: 0n, differences: [] }
  const wanted = new Set(buckets)
  const highMs = last + (definition.bucket?.everyMs ?? 1)
  const one = async (shard: ShardSnapshot): Promise<Map<number, BucketAggregate>> => {
    const sql = aggregateSql({
      schema: shard.ref.schema,
      definition,
      sums,
      digested: digested.get(shard.ref.uid) ?? [],
      lowMs: low,
      highMs,
    })
    const result = await shard.connection.query(sql)
    const found = new Map<number, BucketAggregate>()
    for (const row of result.kind === 'rows' ? result.rows : []) {
      const bucketMs = Number(row[0]?.toString('latin1'))
      if (!wanted.has(bucketMs)) continue
      found.set(bucketMs, {
        count: digits(row[1]),
        sums: sums.map((_, i) => digits(row[2 + i])),
        digest: digits(row[2 + sums.length]) & sumMask,
      })
    }
    return found
  }
  const byShard = new Map<string, Map<number, BucketAggregate>>()
  await Promise.all([...snapshots.old, ...snapshots.new].map(async (shard) => byShard.set(shard.ref.uid, await one(shard))))
  const total = (shards: readonly ShardSnapshot[], bucketMs: number): BucketAggregate =>
    shards
      .map((shard) => byShard.get(shard.ref.uid)?.get(bucketMs) ?? noAggregate(sums.length))
      .reduce((a, b) => ({
        count: a.count + b.count,
        sums: a.sums.map((sum, i) => sum + (b.sums[i] ?? 0n)),
        digest: (a.digest + b.digest) & sumMask,
      }))
  const differences: Difference[] = []
  let rows = 0n
  for (const group of rangeGroups(snapshots))
    for (const bucketMs of buckets) {
      const before = total(group.old, bucketMs)
      const after = total(group.new, bucketMs)
      rows += before.count
      if (before.count !== after.count || before.digest !== after.digest || before.sums.some((sum, i) => sum !== after.sums[i]))
        differences.push({ group, bucketMs, old: before, new: after })
    }
  return { buckets: buckets.length, rows, differences }
}

/** What differs of a bucket, as findings: the sums, and the rows themselves where they are few enough to list. */
export async function explain(
  definition: TableDefinition,
  difference: Difference,
  sums: readonly string[],
  digested: ReadonlyMap<string, readonly SideColumn[]>,
): Promise<LadderFinding[]> {
  const { group, bucketMs } = difference
  const where = `${definition.table}, bucket ${new Date(bucketMs).toISOString()}, range ${group.range}`
  const findings: LadderFinding[] = []
  if (difference.old.count !== difference.new.count)
    findings.push({ what: 'rows', where, old: String(difference.old.count), new: String(difference.new.count) })
  for (const [i, name] of sums.entries())
    if (difference.old.sums[i] !== difference.new.sums[i])
      findings.push({ what: `sum of ${name}`, where, old: String(difference.old.sums[i]), new: String(difference.new.sums[i]) })
  const rowsMax = 20_000
  const list = async (shards: readonly ShardSnapshot[]): Promise<Map<string, string>> => {
    const found = new Map<string, string>()
    for (const shard of shards) {
      const result = await shard.connection.query(
        rowsSql({
          schema: shard.ref.schema,
          definition,
          keyColumns: definition.keyColumns,
          digested: digested.get(shard.ref.uid) ?? [],
          bucketMs,
          rowsMax,
        }),
      )
      for (const row of result.kind === 'rows' ? result.rows : []) {
        const key = row[0]?.toString('utf8') ?? ''
        found.set(key, `${found.has(key) ? `${found.get(key)}+` : ''}${row[1]?.toString('latin1') ?? ''}`)
      }
    }
    return found
  }
  if ((digested.get(group.old[0]?.ref.uid ?? '') ?? []).length === 0) return findings
  const [before, after] = [await list(group.old), await list(group.new)]
  let named = 0
  for (const key of new Set([...before.keys(), ...after.keys()])) {
    const [o, n] = [before.get(key), after.get(key)]
    if (o === n) continue
    if (named++ >= 5) break
    findings.push({ what: 'row', where: `${where}, key ${key}`, old: o ?? 'missing', new: n ?? 'missing' })
  }
  return findings
}
