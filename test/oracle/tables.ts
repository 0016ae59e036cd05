/** What stands in tables, as the servers print it. */
import type { Connection, RawRow } from '../../src/mysql/connection.ts'

export async function rowsOf(connection: Connection, sql: string): Promise<RawRow[]> {
  const result = await connection.query(sql)
  return result.kind === 'rows' ? result.rows : []
}

export function printAll(row: RawRow): string {
  return row.map((cell) => (cell === null ? 'NULL' : cell.toString('latin1'))).join(' | ')
}

/** Rows of `c` that its lookup does not have: where one shard has all rows no answer would tell, and after a split they would not be found. */
export async function missingInLookup(prefix: string, shards: readonly Connection[]): Promise<string[]> {
  const all = async (sql: string): Promise<string[]> => (await Promise.all(shards.map((shard) => rowsOf(shard, sql)))).flat().map(printAll)
  const kept = new Set(await all(`SELECT n, id FROM ${prefix}c_idx`))
  return (await all(`SELECT n, id FROM ${prefix}c WHERE n IS NOT NULL`)).filter((row) => !kept.has(row))
}

const [rowsMax, rowsKept] = [300, 150]

/** INSERT … SELECT lets tables grow; three of thousands of rows, joined by a column of few values, would answer with millions of rows, which are all held here. */
export function cutOf(table: string, ids: readonly number[]): string[] {
  return ids.length <= rowsMax ? [] : [`DELETE FROM ${table} WHERE id > ${ids.toSorted((x, y) => x - y)[rowsKept - 1]}`]
}
