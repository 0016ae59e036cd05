/**
 * Partitions by time, and those that will be wanted soon.
 *
 * A table that is partitioned BY RANGE on its bucket column needs partitions for what is yet to come: without, the server refuses rows (1526), which is nothing that
 * their records cause; and where a MAXVALUE partition takes them, it fills with rows that no purge can drop. So they are made ahead, by whoever purges, and at once by
 * whoever meets a refusal. Where they end depends on the table's own partitions and on time alone, so that all branches, whose tables were made alike, purge alike.
 */
import type { Connection } from '../mysql/connection.ts'
import { isServerError } from '../mysql/errors.ts'
import { quoteIdentifier, quoteQualified, quoteString } from '../sql/quote.ts'
import type { TableDefinition } from './definition.ts'
import { ingestErrors } from './errors.ts'

type PartitionRow = Record<string, string | null>

export async function timePartitions(connection: Connection, schema: string, table: TableDefinition): Promise<PartitionRow[]> {
  const rows = await connection.allText(
    `SELECT PARTITION_NAME AS name, PARTITION_METHOD AS method, PARTITION_EXPRESSION AS expression, PARTITION_DESCRIPTION AS bound FROM information_schema.PARTITIONS
     WHERE TABLE_SCHEMA=${quoteString(schema)} AND TABLE_NAME=${quoteString(table.table)} AND PARTITION_NAME IS NOT NULL ORDER BY PARTITION_ORDINAL_POSITION`,
  )
  await connection.query('COMMIT')
  return rows
}

export function refusalOf(shard: string, table: TableDefinition): (reason: string) => Error {
  return (reason) => ingestErrors.purgeRefused({ table: table.table, shard, column: table.bucket?.column ?? '', reason })
}

/** The instant below which all rows of a partition lie; null: MAXVALUE. */
export function boundMs(row: Record<string, string | null>, table: TableDefinition, bad: (reason: string) => Error): number | null {
  const { method, expression, bound } = {
    method: row['method'] ?? '',
    expression: (row['expression'] ?? '').replaceAll('`', '').toLowerCase(),
    bound: row['bound'] ?? '',
  }
  if (!/^RANGE/i.test(method)) throw bad(`it is partitioned by ${method}`)
  if (/^MAXVALUE$/i.test(bound)) return null
  const column = (table.bucket?.column ?? '').toLowerCase()
  const text = bound.replace(/^'|'$/g, '')
  const ms = (ok: boolean, value: number): number => {
    if (!ok || !Number.isFinite(value)) throw bad(`the bound ${bound} of ${expression} is not understood`)
    return value
  }
  if (expression === column) {
    if (table.bucket?.as === 'ms') return ms(/^-?\d+$/.test(text), Number(text))
    if (table.bucket?.as === 's') return ms(/^-?\d+$/.test(text), Number(text) * 1000)
    return ms(true, Date.parse(`${text.replace(' ', 'T')}${text.length <= 10 ? 'T00:00:00' : ''}Z`))
  }
  // TO_DAYS counts from year 0: 719528 is 1970-01-01.
  if (expression === `to_days(${column})`) return ms(/^\d+$/.test(text), (Number(text) - 719_528) * 86_400_000)
  if (expression === `unix_timestamp(${column})`) return ms(/^\d+(\.\d+)?$/.test(text), Number(text) * 1000)
  throw bad(`it is partitioned by ${expression}`)
}

/** A bound as the table's expression has it. */
function literalOf(row: PartitionRow, table: TableDefinition, ms: number): string {
  const expression = row['expression'] ?? ''
  if (/^to_days/i.test(expression)) return String(Math.floor(ms / dayMs) + 719_528)
  if (/^unix_timestamp/i.test(expression) || table.bucket?.as === 's') return String(ms / 1000)
  if (table.bucket?.as === 'ms') return String(ms)
  return `'${new Date(ms).toISOString().slice(0, 19).replace('T', ' ')}'`
}

const dayMs = 86_400_000
/** In one ALTER. */
const atOnceMax = 200

/**
 * The upper bounds that are missing, for `ahead` whole partitions past `nowMs`; each as wide as the last one there is, or a day where there is but one. What has
 * expired already needs none of its own: the first new one begins where the last one ends, however long ago.
 *
 * @param bounds in order, MAXVALUE left out
 */
export function boundsAhead(bounds: readonly number[], of: { nowMs: number; ahead: number; retentionMs: number }): number[] {
  const last = bounds.at(-1)
  if (last === undefined) return []
  const widthMs = last - (bounds.at(-2) ?? last - dayMs)
  const untilMs = of.nowMs + of.ahead * widthMs
  const out: number[] = []
  const skipped = Math.max(0, Math.floor((of.nowMs - of.retentionMs - last) / widthMs))
  for (let bound = last + (skipped + 1) * widthMs; bound - widthMs < untilMs && out.length < atOnceMax; bound += widthMs) out.push(bound)
  return out
}

/** 1493: bounds must rise; 1517: there is one of that name. Another consumer was quicker. */
const madeByAnother: ReadonlySet<number> = new Set([1493, 1517])

/**
 * Makes them; `connection` has autocommit off. Returns how many; a table that has no partitions by time gets none. A MAXVALUE partition is split, which is quick
 * while it is empty.
 */
export async function addPartitions(
  { connection, shard, schema }: { readonly connection: Connection; readonly shard: string; readonly schema: string },
  table: TableDefinition,
  of: { readonly nowMs: number; readonly ahead: number },
): Promise<number> {
  if (table.bucket === null || table.retentionMs === null) return 0
  const rows = await timePartitions(connection, schema, table)
  const last = rows.at(-1)
  if (last === undefined) return 0
  const known = rows.map((row) => boundMs(row, table, refusalOf(shard, table))).filter((bound) => bound !== null)
  const bounds = boundsAhead(known, { ...of, retentionMs: table.retentionMs })
  if (bounds.length === 0) return 0
  const parts = bounds.map(
    (bound) =>
      `PARTITION p${new Date(bound).toISOString().replace(/\D/g, '').slice(0, 14)} VALUES LESS THAN (${literalOf(last, table, bound)})`,
  )
  const open = /^MAXVALUE$/i.test(last['bound'] ?? '') ? quoteIdentifier(last['name'] ?? '') : null
  try {
    await connection.query(
      `ALTER TABLE ${quoteQualified(schema, table.table)} ${open === null ? `ADD PARTITION (${parts.join(', ')})` : `REORGANIZE PARTITION ${open} INTO (${parts.join(', ')}, PARTITION ${open} VALUES LESS THAN (MAXVALUE))`}`,
    )
  } catch (error) {
    if (!isServerError(error) || !madeByAnother.has(error.errno)) throw error
  }
  return bounds.length
}
