/** The statements of a landing: rows of one or several chunks for one target, by table, and the chunks' completion. */
import { append } from '../base/append.ts'
import { assert } from '../base/assert.ts'
import { bulkLoadSql } from './bulk-load.ts'
import type { Chunk, ChunkPart, Segment } from './chunk.ts'
import type { LaneStatement, ParameterRows } from './lane.ts'
import { parameterBytesMax, replaceSql } from './parameter-rows.ts'
import { insertTail, type WriteMode } from './statements.ts'
import type { TablePlan } from './table-plan.ts'
import { applierSql, type ChunkRow, type CopyWork } from './tables.ts'

/** A chunk's rows for this target; `drop`: those that the tail has brought since (null: none). */
export type LandingPart = { readonly chunk: Chunk; readonly part: ChunkPart; readonly drop: ((key: string) => boolean) | null }

export type LandingTarget = {
  /** Its place among the stream's targets. */
  readonly number: number
  readonly streamUid: string
  readonly targetUid: string
  readonly workflowUid: string
  readonly schema: string
  readonly mode: WriteMode
  readonly bulkLoad: boolean
  /** max_allowed_packet of the server. */
  readonly packetMax: number
  /** What the copy has read so far. */
  readonly work: () => CopyWork
}

export function landingStatements(parts: readonly LandingPart[], target: LandingTarget): LaneStatement[] {
  const { streamUid, targetUid, workflowUid } = target
  const rows = [...byTable(parts)].flatMap(([table, ofTable]) => rowStatements(table, ofTable.flatMap(segmentsLeft), target))
  const chunks = parts.flatMap(({ chunk, part }) => {
    const range = landedRange(chunk, part, target.number, target.work())
    return range === null ? [] : [range]
  })
  // Before the rows: with the guard, in one round trip. Behind a bulk load it would take one of its own.
  return chunks.length === 0 ? rows : [applierSql.chunks(streamUid, targetUid, workflowUid, chunks), ...rows]
}

/** What is stored when a chunk lands on a target: null: it is a piece, and not the last, of one that is stored as one. */
export function landedRange({ table, completes }: Chunk, part: ChunkPart, target: number, work: CopyWork): ChunkRow | null {
  if (completes === null) return null
  const { path, lo, hi } = completes
  const before = completes.before[target] ?? { rows: 0, bytes: 0 }
  // As read: what was dropped here the tail has brought. Rows read and rows landed are then the same, and what is left over was read in vain.
  const rows = before.rows + part.rows
  const bytes = before.bytes + part.bytes
  return { table: table.name, first: path, path, lo, hi, rows, bytes, chunks: 1, work }
}

/** One LOAD DATA for all of them, where it may be: each is a round trip. */
function rowStatements(table: TablePlan, segments: readonly Segment[], target: LandingTarget): LaneStatement[] {
  const { schema, mode, bulkLoad } = target
  if (segments.length === 0) return []
  if (segments.some(({ keyText }) => keyText !== null)) return parameterStatements(table, segments, target)
  const sql = bulkLoad && mode === 'one-source' ? bulkLoadSql(table, schema) : null
  const [tail] = insertTail(table)
  if (sql === null) return segments.map((segment) => segment.statement(tail))
  return [{ sql, rowsText: segments.map((segment) => segment.rowsAlone()), rows: segments.reduce((sum, { rows }) => sum + rows, 0) }]
}

/** Of what stands before the rows: two bytes for each of at most 4,096 columns. */
const headBytesMax = 9_000

/** As few as their size allows. */
function parameterStatements(table: TablePlan, segments: readonly Segment[], { schema, packetMax }: LandingTarget): ParameterRows[] {
  const prepare = replaceSql(table, schema)
  const statements: { prepare: string; rowsOf: Buffer[]; rows: number }[] = []
  const bytesMax = Math.min(parameterBytesMax, packetMax - headBytesMax)
  let bytes = 0
  for (const segment of segments) {
    assert(segment.keyText !== null, 'all rows of a table are in one form')
    const rows = segment.rowsAlone()
    let last = statements.at(-1)
    if (last === undefined || bytes + rows.length > bytesMax) {
      last = { prepare, rowsOf: [], rows: 0 }
      statements.push(last)
      bytes = 0
    }
    last.rowsOf.push(rows)
    last.rows += segment.rows
    bytes += rows.length
  }
  return statements
}

function segmentsLeft({ part, drop }: LandingPart): Segment[] {
  if (drop === null) return part.segments
  return part.segments.map((segment) => segment.without(drop)).filter((segment) => segment !== null)
}

function byTable(parts: readonly LandingPart[]): Map<TablePlan, LandingPart[]> {
  const tables = new Map<TablePlan, LandingPart[]>()
  for (const part of parts) append(tables, part.chunk.table, part)
  return tables
}
