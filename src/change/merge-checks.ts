/**
 * Values of primary and unique keys that stand on more than one source of a merge (PROTOCOLS 3, Merges): two rows would collide on the target, and
 * one of them could not be kept. Found before anything is made.
 *
 * A key that contains the shard key cannot collide between sources: equal values are of one keyspace id, hence of one source. Of the others the keys
 * of one source are read in pages, in key order, and looked up on the other, which compares by its own collation, as the target will. Bounded in
 * time: what was not looked at is told, and streams stop with both rows named if they collide after all (1.6). The two sides are read one after the other, so a
 * row that a transaction over both shards is moving may be met on both: only pairs that are met again, several times, count.
 */
import type { SwError } from '../base/errors.ts'
import type { Clock } from '../base/clock.ts'
import type { Connection } from '../mysql/connection.ts'
import type { SchemaInfo, TableInfo, TableKey } from '../mysql/table-info.ts'
import { quoteIdentifier, quoteQualified, quoteString } from '../sql/quote.ts'
import type { StreamTable } from '../topology/records.ts'
import { changeErrors } from './errors.ts'

export type MergeSource = { readonly shard: string; readonly schema: SchemaInfo; readonly connection: Connection }
export type MergeFindings = { readonly errors: SwError[]; readonly notes: string[] }

const pageRows = 500
const samplesMax = 20
const looksAgain = 4
const lookAgainMs = 150

/** `together`: sources that feed a common target, in pairs. */
export async function duplicateKeys(
  together: readonly (readonly [MergeSource, MergeSource])[],
  tables: readonly StreamTable[],
  clock: Clock,
  budgetMs: number,
): Promise<MergeFindings> {
  const errors: SwError[] = []
  const notes: string[] = []
  const untilMs = clock.monotonicMs() + budgetMs
  for (const { connection } of together.flat()) await connection.query("SET SESSION time_zone = '+00:00'")
  for (const [one, other] of together) {
    for (const { name, vindex } of tables) {
      const table = one.schema.tables.find((info) => info.name === name)
      if (table === undefined || vindex === null) continue
      for (const key of apartFrom(table, vindex.columns)) {
        const found = await collisions(one, other, table, key, clock, untilMs)
        const between = { table: name, key: key.name, one: one.shard, other: other.shard }
        if (found.values.length > 0)
          errors.push(changeErrors.duplicateKeys({ ...between, values: `${found.values.join(', ')}${found.more ? ' …' : ''}` }))
        if (!found.whole)
          notes.push(`${name}.${key.name}: not all values of ${one.shard} were looked up on ${other.shard} in ${budgetMs} ms`)
        notes.push(`${name}.${key.name} does not contain the shard key: sharding cannot keep it unique`)
      }
    }
  }
  return { errors, notes: [...new Set(notes)] }
}

/** Unique keys over whole columns that lack some column of the shard key. */
function apartFrom(table: TableInfo, shardKey: readonly string[]): TableKey[] {
  const same = (a: string, b: string): boolean => a.toLowerCase() === b.toLowerCase()
  return table.keys.filter(
    (key) =>
      key.unique &&
      key.parts.every((part) => part.column !== null) &&
      !shardKey.every((column) => key.parts.some((part) => same(part.column ?? '', column))),
  )
}

/**
 * An expression that prints a column's value as a literal: bytes in the column's own charset, so that the other side compares by its column's collation
 * and by its index; numbers without quotes, which would make them doubles.
 */
function literalSql(table: TableInfo, name: string): string {
  const column = table.columns.find((one) => one.name.toLowerCase() === name.toLowerCase())
  const quoted = quoteIdentifier(name)
  if (column?.charset != null && column.dataType !== 'enum' && column.dataType !== 'set')
    return `CONCAT('_${column.charset} X''', HEX(${quoted}), '''')`
  if (/^(binary|varbinary|tinyblob|blob|mediumblob|longblob)$/.test(column?.dataType ?? '')) return `CONCAT('X''', HEX(${quoted}), '''')`
  if (/int$|^(decimal|numeric|float|double|year)$/.test(column?.dataType ?? '')) return `CONCAT(${quoted}, '')`
  return `QUOTE(${quoted})`
}

/** For people. */
function shownSql(table: TableInfo, name: string): string {
  const column = table.columns.find((one) => one.name.toLowerCase() === name.toLowerCase())
  return column?.charset != null ? `QUOTE(${quoteIdentifier(name)})` : literalSql(table, name)
}

async function collisions(
  one: MergeSource,
  other: MergeSource,
  table: TableInfo,
  key: TableKey,
  clock: Clock,
  untilMs: number,
): Promise<{ values: string[]; more: boolean; whole: boolean }> {
  const columns = key.parts.flatMap((part) => (part.column === null ? [] : [quoteIdentifier(part.column)]))
  const list = columns.join(', ')
  const notNull = columns.map((column) => `${column} IS NOT NULL`).join(' AND ')
  const read = quoteQualified(one.schema.name, table.name)
  const ask = quoteQualified(other.schema.name, table.name)
  const values: string[] = []
  const literals = key.parts.map((part) => literalSql(table, part.column ?? ''))
  let after: string[] | null = null
  for (;;) {
    if (clock.monotonicMs() >= untilMs) return { values, more: false, whole: false }
    const where: string = after === null ? notNull : `${notNull} AND (${list}) > (${after.join(', ')})`
    const rows = await one.connection.allText(
      `SELECT ${literals.map((sql, i) => `${sql} AS c${i}`).join(', ')} FROM ${read} WHERE ${where} ORDER BY ${list} LIMIT ${pageRows}`,
    )
    if (rows.length === 0) return { values, more: false, whole: true }
    const tuples = rows.map((row) => columns.map((_, i) => row[`c${i}`] ?? 'NULL'))
    const asked = `${literals.map((sql, i) => `${sql} AS c${i}`).join(', ')}, CONCAT_WS(${quoteString(', ')}, ${key.parts.map((part) => shownSql(table, part.column ?? '')).join(', ')}) AS v`
    const among = async (connection: Connection, from: string, of: readonly string[][]): Promise<Record<string, string | null>[]> =>
      of.length === 0
        ? []
        : connection.allText(
            `SELECT ${asked} FROM ${from} WHERE (${list}) IN (${of.map((tuple) => `(${tuple.join(', ')})`).join(', ')}) LIMIT ${samplesMax}`,
          )
    const tuplesOf = (found: readonly Record<string, string | null>[]): string[][] =>
      found.map((row) => columns.map((_, i) => row[`c${i}`] ?? 'NULL'))
    let hits = await among(other.connection, ask, tuples)
    for (let look = 0; look < looksAgain && hits.length > 0; look++) {
      await clock.sleep(lookAgainMs)
      hits = await among(other.connection, ask, tuplesOf(await among(one.connection, read, tuplesOf(hits))))
    }
    values.push(...hits.map((row) => row['v'] ?? ''))
    if (values.length >= samplesMax) return { values: values.slice(0, samplesMax), more: true, whole: true }
    after = tuples.at(-1) ?? null
    if (rows.length < pageRows) return { values, more: false, whole: true }
  }
}
