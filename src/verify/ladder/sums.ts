/**
 * L1: counts and sums of additive columns of every comparable bucket, by hash range; and, of roll-ups, a digest over keys and merged values
 * but sketches: a value that moved from one key to another of the bucket leaves every sum as it is.
 *
 * L2: digests of tables whose rows are records 1:1, and, of a hybrid run, the copied tables row by row; what differs is named by its key.
 */
import type { TableDefinition } from '../../ingest/definition.ts'
import { allTables } from '../../ingest/definition.ts'
import { additiveColumns, comparedColumns } from './buckets-sql.ts'
import { judgeCopied, together } from './copied.ts'
import { columnsOfTable, comparable, compareTable, explain, lackingFindings, readAllDefinitions } from './compare-buckets.ts'
import { findingsMax } from './evidence.ts'
import type { LadderFinding } from './evidence.ts'
import { judged } from './judged.ts'
import type { Judged } from './judged.ts'
import { withSnapshots } from './snapshot.ts'
import type { LadderWorld } from './world.ts'

/** Of each table; how many there are is among the numbers. */
export const lackingShownMax = 5

export const judgeSums = (world: LadderWorld): Promise<Judged> => judgeTables(world, (table) => table.bucket !== null, 'L1')
export async function judgeDigests(world: LadderWorld): Promise<Judged> {
  const rows = await judgeTables(world, (table) => table.kind === 'row', 'L2')
  // A look while reads move holds no fleet.
  return world.options.bucketsMax > 0 ? rows : together(rows, await judgeCopied(world))
}

async function judgeTables(world: LadderWorld, concerns: (table: TableDefinition) => boolean, rung: 'L1' | 'L2'): Promise<Judged> {
  const tables = tablesOf(world).filter(concerns)
  if (tables.length === 0) return judged('pass', rung === 'L2' ? 'no table has rows 1:1' : 'no table has buckets', { tables: 0 })
  return withSnapshots(world, async (snapshots) => {
    const definitions = await readAllDefinitions(snapshots, tables)
    const findings: LadderFinding[] = []
    const empty: string[] = []
    let buckets = 0
    let rows = 0n
    let differing = 0
    let lacking = 0
    let notComparable = 0
    for (const table of tables) {
      world.signal.throwIfAborted()
      const those = await comparable(world, snapshots, table.table)
      if (those.runs.length === 0) empty.push(table.table)
      lacking += new Set(those.lacking.map(({ bucketMs }) => bucketMs)).size
      notComparable += those.notComparable
      findings.push(...lackingFindings(table.table, those.lacking).slice(0, lackingShownMax))
      const sums = additiveColumns(table)
      const digested = columnsOfTable(definitions, snapshots, table.table, comparedColumns(table))
      // 1:1 rows are digested by L2; L1 counts them.
      const compared = await compareTable(snapshots, table, those, sums, rung === 'L1' && table.kind === 'row' ? new Map() : digested)
      buckets += compared.buckets
      rows += compared.rows
      differing += compared.differences.length
      for (const difference of compared.differences) {
        if (findings.length >= findingsMax) break
        findings.push(...(await explain(table, difference, sums, digested)))
      }
    }
    const numbers = {
      tables: tables.length,
      buckets,
      rows: String(rows),
      bucketsDiffering: differing,
      bucketsLackingRecords: lacking,
      bucketsNotComparable: notComparable,
      findings: findings.length,
    }
    const what = rung === 'L1' ? 'counts and sums' : 'digests of 1:1 rows'
    const lost = `one branch lacks records of ${lacking} buckets that the other has`
    if (differing > 0)
      return judged('fail', `${differing} of ${buckets} buckets differ (by hash range)${lacking > 0 ? `; ${lost}` : ''}`, numbers, findings)
    if (lacking > 0) return judged('fail', lost, numbers, findings)
    if (empty.length > 0)
      return judged('unknown', `no bucket of ${empty.join(', ')} can be compared yet: none is whole and closed on both branches`, numbers)
    return judged('pass', `${what} of ${buckets} buckets, ${rows} rows, are equal in every hash range`, numbers)
  })
}

export function tablesOf(world: LadderWorld): TableDefinition[] {
  const byName = new Map<string, TableDefinition>()
  for (const { definition } of world.pairs)
    for (const table of allTables(definition)) if (!byName.has(table.table)) byName.set(table.table, table)
  return [...byName.values()]
}
