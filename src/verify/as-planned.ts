/**
 * What the compared tables are, to be held against what they were when the comparison was planned.
 *
 * A comparison keeps lists of columns: what it digests, and what a repair writes. After DDL they are another table's. A column that was added would be compared by nobody, and a repair, which writes
 * rows whole, would set it to its default on the target whatever the source has. So tables are looked at again: before each repair is committed (`repair.ts`: where no DDL can come between the look and the commit),
 * when a table has been compared to its end, and when all have. A table that was altered is planned anew, and compared from its beginning.
 *
 * Why looks at some times are enough: they are taken *before* the plan's own reads, and a plan stands on what was read behind them. So if a later look finds the same, the plan was made of the
 * definition that is in force, and all between the two looks was read under it; unless a table was altered and altered back, and is what it was.
 */
import { createHash } from 'node:crypto'
import { charsetName } from '../binlog/table-definitions.ts'
import type { Connection } from '../mysql/connection.ts'
import { quoteString } from '../sql/quote.ts'
import type { ShardRef } from '../topology/records.ts'
import { ofShards, type Use } from './comparison.ts'
import { verifyErrors } from './errors.ts'
import { shardsOf, type Group } from './groups.ts'

/** By table: its columns and keys as a short text. */
export type Looked = ReadonlyMap<string, string>
/** By shard uid. */
export type Looks = ReadonlyMap<string, Looked>

/** All tables of the shards' schemas, or one of them. */
export function lookAt(shards: readonly ShardRef[], use: Use, table?: string): Promise<Looks> {
  return ofShards(shards, use, (conn, { schema }) => look(conn, schema, table))
}

/** Of one group's table, on all its shards: to know it again by. */
export function definitionOf({ group, plan }: { readonly group: Group; readonly plan: { readonly name: string } }, looks: Looks): string {
  return digest(shardsOf(group).map(({ uid }) => `${uid}=${looks.get(uid)?.get(plan.name) ?? ''}`))
}

/** @throws definitionChanged of the first of the shards on which the table is not what it was */
export function assertSame(table: string, shards: readonly ShardRef[], planned: Looks, now: Looks): void {
  const other = shards.find(({ uid }) => planned.get(uid)?.get(table) !== now.get(uid)?.get(table))
  if (other !== undefined) throw verifyErrors.definitionChanged({ table, shard: other.shard })
}

/**
 * Columns with all that the comparison goes by, what they are generated from too, and the keys whose columns must be unique: rows are walked and found by one of these. Not defaults, nor other keys: a table whose
 * keys are built is the same one.
 */
async function look(conn: Connection, schema: string, table: string | undefined): Promise<Looked> {
  const where = `TABLE_SCHEMA = ${quoteString(schema)}${table === undefined ? '' : ` AND TABLE_NAME = ${quoteString(table)}`}`
  const [columns, keys] = await Promise.all([
    conn.allText(
      `SELECT TABLE_NAME AS t, COLUMN_NAME AS c, COLUMN_TYPE AS y, CHARACTER_SET_NAME AS s, COLLATION_NAME AS o, IS_NULLABLE AS n, GENERATION_EXPRESSION AS g
      FROM information_schema.COLUMNS WHERE ${where} ORDER BY TABLE_NAME, ORDINAL_POSITION`,
    ),
    conn.allText(
      `SELECT TABLE_NAME AS t, INDEX_NAME AS k, COLUMN_NAME AS c, SUB_PART AS p, COLLATION AS d
      FROM information_schema.STATISTICS WHERE ${where} AND NON_UNIQUE = 0 ORDER BY TABLE_NAME, INDEX_NAME, SEQ_IN_INDEX`,
    ),
  ])
  const texts = new Map<string, string[]>()
  for (const { t, c, y, s, o, n, g } of columns) {
    const text = texts.get(t ?? '') ?? []
    texts.set(t ?? '', text)
    text.push(JSON.stringify([c, y, charsetName(s ?? null), charsetName(o ?? null), n, g]))
  }
  for (const { t, k, c, p, d } of keys) texts.get(t ?? '')?.push(JSON.stringify([k, c, p, d]))
  return new Map([...texts].map(([name, text]) => [name, digest(text)]))
}

function digest(texts: readonly string[]): string {
  return createHash('sha256').update(texts.join('\n')).digest('base64url').slice(0, 16)
}
