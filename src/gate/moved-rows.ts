/**
 * An UPDATE that changes shard keys. The rows that it may concern stand, locked on their shards, in a temporary table like theirs, keys included: the client's own statement runs
 * there, and says what one server would say, duplicates among these rows included. What it changed is removed by the old key from its shard and inserted, whole, where it belongs now; duplicates of
 * other rows show there.
 *
 * A server with triggers or foreign keys on the table would do other things for an UPDATE than for these two: refused.
 */
import { append } from '../base/append.ts'
import { scratchKey } from './gather-fill.ts'
import type { Connection } from '../mysql/connection.ts'
import { quoteIdentifier, quoteString } from '../sql/quote.ts'
import { entriesOf, idOf, ofClient } from './gather-write.ts'
import type { GatherJob } from './gather-job.ts'
import { fetched, literalMaker, requireCarried } from './gather-values.ts'
import type { ColumnInfo } from './plan/catalog.ts'
import { planErrors } from './plan/errors.ts'
import type { GatherUse } from './plan/gather-types.ts'
import type { LookupEntry } from './plan/lookup.ts'
import type { RouteInputs } from './plan/plan.ts'
import { executedOnce } from './part-stream.ts'
import type { Part } from './scatter-parts.ts'
import type { Param } from '../wire/stmt-execute.ts'
import type { WriteSummary } from './scatter-summary.ts'
import { storedOf, type Stored } from './scatter-warnings.ts'
import type { KeyspaceView, ShardView } from './view.ts'

type Moved = Extract<GatherUse, { kind: 'moved' }>
type Place = {
  readonly job: GatherJob
  readonly params: readonly Param[]
  readonly keyspace: KeyspaceView
  readonly inputs: Pick<RouteInputs<ShardView>, 'shardOf'>
}

const rowsMax = 500

export async function movedRows(
  scratch: Connection,
  use: Moved,
  place: Place,
): Promise<{ parts: Part[]; said: WriteSummary; warnings: Stored; entries: LookupEntry[]; gone: LookupEntry[] }> {
  const { row, target } = use
  const { job } = place
  await refuseTied(scratch, row.table)
  const filled = quoteIdentifier(job.steps[0]?.name ?? '')
  const names = row.columns.map((column) => quoteIdentifier(column.name))
  // A column that takes the time of an UPDATE by itself is told to stay.
  const kept = row.columns.flatMap(({ name, dataType }) =>
    dataType === 'timestamp' || dataType === 'datetime' ? [`, ${quoteIdentifier(name)} = ${quoteIdentifier(name)}`] : [],
  )
  await scratch.query(`ALTER TABLE ${filled} ADD COLUMN _sw_n BIGINT`)
  await scratch.query('SET @_sw_n = 0')
  await scratch.query(`UPDATE ${filled} SET _sw_n = (@_sw_n := @_sw_n + 1)${kept.join('')}`)
  await scratch.query(`CREATE TEMPORARY TABLE _sw_old (${scratchKey}) AS SELECT ${names.join(', ')}, _sw_n FROM ${filled}`)
  // MariaDB 10.11 takes every column of an altered temporary table for given, until it is read into itself: none would take the time of the client's UPDATE (*tried*).
  if (scratch.flavour === 'mariadb') await scratch.query(`INSERT IGNORE INTO ${filled} (_sw_n) SELECT _sw_n FROM ${filled} WHERE FALSE`)
  const result = await executedOnce(scratch, ofClient(place))
  const warnings = await storedOf(scratch, result)
  const said: WriteSummary = {
    affectedRows: result.kind === 'ok' ? result.affectedRows : 0n,
    insertId: 0n,
    warnings: result.warnings,
    info: result.kind === 'ok' ? result.info : '',
  }
  const list = (alias: string): string => row.columns.map((column) => fetched(alias, column)).join(', ')
  const answer = await scratch.query(
    `SELECT ${list('o')}, ${list('n')} FROM _sw_old o JOIN ${filled} n ON n._sw_n = o._sw_n ORDER BY o._sw_n`,
  )
  const width = row.columns.length
  const removed = new Map<ShardView, string[]>()
  const inserted = new Map<ShardView, string[]>()
  const entries: LookupEntry[] = []
  const gone: LookupEntry[] = []
  const literals = row.columns.map(literalMaker)
  const keys = target.columns.map((column) => row.columns.indexOf(column))
  for (const cells of answer.kind === 'rows' ? answer.rows : []) {
    const [was, becomes] = [cells.slice(0, width), cells.slice(width)]
    // Two that can not be carried look alike and need not be.
    for (const one of [was, becomes])
      for (const [i, cell] of one.entries()) if (cell !== null) requireCarried(row.columns[i] as ColumnInfo, cell)
    if (was.every((cell, i) => same(cell, becomes[i] ?? null))) continue
    refuseDrawnId(row.table, row.columns, becomes)
    const [from, to] = [idOf(was, undefined, row), idOf(becomes, undefined, row)]
    if (from === null || to === null) continue
    const text = (of: readonly (Buffer | null)[], i: number): string =>
      of[i] == null ? 'NULL' : (literals[i] as (cell: Buffer) => Buffer)(of[i] as Buffer).toString('latin1')
    append(removed, place.inputs.shardOf(from), `(${keys.map((i) => text(was, i)).join(',')})`)
    append(inserted, place.inputs.shardOf(to), `(${becomes.map((_, i) => text(becomes, i)).join(',')})`)
    gone.push(...entriesOf(was, undefined, use.lookups, from))
    entries.push(...entriesOf(becomes, undefined, use.lookups, to))
  }
  const latin1 = (name: string): string => Buffer.from(quoteIdentifier(name)).toString('latin1')
  const [name, all, tuple] = [latin1(row.table), ...[row.columns, target.columns].map((c) => c.map((one) => latin1(one.name)).join(', '))]
  return {
    parts: [
      ...partsOf(place, removed, (rows) => `DELETE FROM ${name} WHERE (${tuple}) IN (${rows})`),
      ...partsOf(place, inserted, (rows) => `INSERT INTO ${name} (${all}) VALUES ${rows}`),
    ],
    said,
    warnings,
    entries,
    gone,
  }
}

function same(a: Buffer | null | undefined, b: Buffer | null): boolean {
  return a == null || b === null ? a == null && b === null : a.equals(b)
}

function partsOf({ keyspace }: Place, lists: ReadonlyMap<ShardView, string[]>, text: (rows: string) => string): Part[] {
  return keyspace.shards.flatMap((shard) => {
    const rows = lists.get(shard) ?? []
    return Array.from({ length: Math.ceil(rows.length / rowsMax) }, (_, i) => ({
      shard,
      text: Buffer.from(text(rows.slice(i * rowsMax, (i + 1) * rowsMax).join(',')), 'latin1'),
    }))
  })
}

async function refuseTied(scratch: Connection, table: string): Promise<void> {
  const name = quoteString(table)
  const tied = await scratch.query(
    `SELECT 'triggers' FROM information_schema.TRIGGERS WHERE EVENT_OBJECT_SCHEMA = DATABASE() AND EVENT_OBJECT_TABLE = ${name} UNION ALL SELECT 'foreign keys' FROM information_schema.REFERENTIAL_CONSTRAINTS WHERE CONSTRAINT_SCHEMA = DATABASE() AND (TABLE_NAME = ${name} OR REFERENCED_TABLE_NAME = ${name}) LIMIT 1`,
  )
  const what = tied.kind === 'rows' ? tied.rows[0]?.[0] : null
  if (what == null) return
  throw planErrors.refused({
    construct: `an UPDATE of the shard key of ${table}, which has ${what.toString()}`,
    reason: 'rows that move between shards are deleted and inserted, which does other things there than an UPDATE',
    instead: 'DELETE and INSERT the rows, in one transaction',
  })
}

/** A server would draw an id for it. */
function refuseDrawnId(table: string, columns: readonly ColumnInfo[], row: readonly (Buffer | null)[]): void {
  const at = columns.findIndex((column) => column.autoIncrement)
  if (at < 0 || row[at]?.toString('latin1') !== '0') return
  throw planErrors.shardKeyValue({ table, column: columns[at]?.name ?? '', reason: 'moving a row with id 0 would draw a new id' })
}
