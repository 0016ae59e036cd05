/**
 * L3: of each comparable bucket and hash range, the merged sketches of both branches have the same count, and quantiles within their stated error.
 * The server's digests of the sketches' bytes (canonical: equal contents are equal bytes) say which buckets need not be decoded; the newest
 * ones are decoded all the same, so that a pass rests on quantiles, not on bytes alone.
 */
import { DDSketch } from '../../ingest/ddsketch.ts'
import type { TableDefinition } from '../../ingest/definition.ts'
import { quoteIdentifier, quoteQualified } from '../../sql/quote.ts'
import { bucketRange, sketchColumns } from './buckets-sql.ts'
import { columnsOfTable, comparable, compareTable, lackingFindings, rangeGroups, readAllDefinitions } from './compare-buckets.ts'
import type { RangeGroup } from './compare-buckets.ts'
import { findingsMax } from './evidence.ts'
import type { LadderFinding } from './evidence.ts'
import { judged } from './judged.ts'
import type { Judged } from './judged.ts'
import { withSnapshots } from './snapshot.ts'
import type { ShardSnapshot } from './snapshot.ts'
import { lackingShownMax, tablesOf } from './sums.ts'
import type { LadderWorld } from './world.ts'

const quantiles = [0.5, 0.9, 0.95, 0.99] as const
/** Buckets of each table that are decoded though their bytes are equal. */
const decodedAlways = 6

export async function judgeSketches(world: LadderWorld): Promise<Judged> {
  const tables = tablesOf(world).filter((table) => table.bucket !== null && sketchColumns(table).length > 0)
  if (tables.length === 0) return judged('pass', 'no table has sketches', { tables: 0 })
  return withSnapshots(world, async (snapshots) => {
    const definitions = await readAllDefinitions(snapshots, tables)
    const findings: LadderFinding[] = []
    const empty: string[] = []
    let buckets = 0
    let decoded = 0
    let differing = 0
    let left = 0
    let worst = 0
    let notComparable = 0
    let lacking = 0
    const lost: LadderFinding[] = []
    for (const table of tables) {
      world.signal.throwIfAborted()
      const those = await comparable(world, snapshots, table.table)
      if (those.runs.length === 0) empty.push(table.table)
      notComparable += those.notComparable
      lacking += new Set(those.lacking.map(({ bucketMs }) => bucketMs)).size
      lost.push(...lackingFindings(table.table, those.lacking).slice(0, lackingShownMax))
      const names = [...table.keyColumns, ...sketchColumns(table)]
      const digested = columnsOfTable(definitions, snapshots, table.table, names)
      const compared = await compareTable(snapshots, table, those, [], digested)
      buckets += compared.buckets
      const pairs = new Map<string, { group: RangeGroup; bucketMs: number }>()
      const add = (group: RangeGroup, bucketMs: number): unknown => pairs.set(`${group.range}/${bucketMs}`, { group, bucketMs })
      differing += compared.differences.length
      for (const { group, bucketMs } of compared.differences) add(group, bucketMs)
      for (const bucketMs of (those.runs.at(-1) ?? []).slice(-decodedAlways))
        for (const group of rangeGroups(snapshots)) add(group, bucketMs)
      for (const [i, { group, bucketMs }] of [...pairs.values()].entries()) {
        world.signal.throwIfAborted()
        // It has failed by then, and more of the same tells nothing more.
        if (findings.length >= findingsMax) {
          left += pairs.size - i
          break
        }
        decoded++
        for (const column of sketchColumns(table)) {
          const error = table.columns[column]?.relativeError ?? 0.01
          const [before, after] = [await merged(group.old, table, column, bucketMs), await merged(group.new, table, column, bucketMs)]
          const found = compareSketches(before, after, error)
          worst = Math.max(worst, found.worst)
          const where = `${table.table}.${column}, bucket ${new Date(bucketMs).toISOString()}, range ${group.range}`
          findings.push(...found.differences.map((difference) => ({ ...difference, where })))
        }
      }
    }
    const numbers = {
      tables: tables.length,
      buckets,
      bucketsDecoded: decoded,
      bucketsLackingRecords: lacking,
      bucketsNotComparable: notComparable,
      bucketsNotDecoded: left,
      bytesDiffering: differing,
      worstRelativeError: Number(worst.toFixed(5)),
      findings: findings.length + lost.length,
    }
    if (findings.length > 0)
      return judged(
        'fail',
        `sketches of ${new Set(findings.map((f) => f.where)).size} buckets differ${left === 0 ? '' : `; ${left} more were not decoded then`}`,
        numbers,
        [...findings, ...lost],
      )
    if (lost.length > 0) return judged('fail', `one branch lacks records of ${lacking} buckets that the other has`, numbers, lost)
    if (empty.length > 0) return judged('unknown', `no bucket of ${empty.join(', ')} can be compared yet`, numbers)
    return judged('pass', passText({ buckets, decoded, differing }), numbers)
  })
}

/** Pure. Bytes may differ where what they say does not: then that was decoded, all of it. */
export function passText({ buckets, decoded, differing }: { buckets: number; decoded: number; differing: number }): string {
  const bytes =
    differing === 0
      ? `the bytes of all ${buckets} are equal`
      : `the bytes of ${differing} hash ranges of buckets differ within it, and those of all others of ${buckets} buckets are equal`
  return `quantiles of ${decoded} hash ranges of buckets are within their error; ${bytes}`
}

/** Two readings of the same values are each within `error` of the truth. */
export function compareSketches(
  before: DDSketch | null,
  after: DDSketch | null,
  error: number,
): { worst: number; differences: { what: string; old: string; new: string }[] } {
  const differences: { what: string; old: string; new: string }[] = []
  const counts = [before?.count ?? 0, after?.count ?? 0]
  if (counts[0] !== counts[1]) differences.push({ what: 'values in the sketch', old: String(counts[0]), new: String(counts[1]) })
  let worst = 0
  for (const q of quantiles) {
    const [a, b] = [before?.quantile(q) ?? 0, after?.quantile(q) ?? 0]
    const apart = a === b ? 0 : Math.abs(a - b) / Math.max(Math.abs(a), Math.abs(b))
    worst = Math.max(worst, apart)
    if (apart > 2 * error) differences.push({ what: `p${q * 100}`, old: String(a), new: String(b) })
  }
  return { worst, differences }
}

async function merged(
  shards: readonly ShardSnapshot[],
  table: TableDefinition,
  column: string,
  bucketMs: number,
): Promise<DDSketch | null> {
  let all: DDSketch | null = null
  const every = table.bucket?.everyMs ?? 1
  for (const shard of shards) {
    const stream = await shard.connection.rows(
      Buffer.from(
        `SELECT ${quoteIdentifier(column)} FROM ${quoteQualified(shard.ref.schema, table.table)} WHERE ${bucketRange(table, bucketMs, bucketMs + every)} AND ${quoteIdentifier(column)} IS NOT NULL`,
      ),
    )
    for await (const batch of stream)
      for (let row = 0; row < batch.length; row++) {
        const cell = batch.cell(row, 0)
        if (cell === null) continue
        const one = DDSketch.decode(Buffer.from(cell))
        if (all === null) all = one
        else all.merge(one)
      }
  }
  return all
}
