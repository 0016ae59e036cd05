import type { Connection } from '../mysql/connection.ts'
import { flavourOf } from '../mysql/flavour/flavour.ts'
import { quoteString } from '../sql/quote.ts'
import type { ColumnDefinition } from './source.ts'

/**
 * Of a character set or a collation. Servers before MariaDB 10.6 and MySQL 8.0.30 say `utf8` of what later ones call `utf8mb3`, and a server that is upgraded says it otherwise than before.
 */
export function charsetName(name: string | null): string | null {
  return name === null ? null : name.replace(/^utf8(?=_|$)/, 'utf8mb3')
}

/**
 * All base tables of a schema with their columns in table order: what a TableChooser hands to the tail, and `canonicalExpression` works on. Behind them those that only the binlog
 * shows: MariaDB's hashes of long unique keys. They count as generated: nobody reads or writes them.
 *
 * @param expected tables that are surely there: for a moment of an ALTER TABLE … PARTITION, MariaDB leaves a table out of what it tells of a schema (*tried* under one after another: one look in six). Asked by
 * its name, it waits for the ALTER
 */
export async function readTableDefinitions(
  connection: Connection,
  schema: string,
  expected: Iterable<string> = [],
): Promise<Map<string, ColumnDefinition[]>> {
  const tables = await tableColumns(connection, schema, null)
  for (const name of expected)
    if (!tables.has(name)) for (const [table, columns] of await tableColumns(connection, schema, name)) tables.set(table, columns)
  if (flavourOf(connection).longKeysAreColumns)
    for (const [table, count] of await longKeys(connection, schema)) for (let i = 1; i <= count; i++) tables.get(table)?.push(hashColumn(i))
  return tables
}

async function tableColumns(connection: Connection, schema: string, table: string | null): Promise<Map<string, ColumnDefinition[]>> {
  // Of both: a server looks one table up only where each says its name.
  const named =
    table === null
      ? ''
      : ['c', 't'].map((of) => ` AND ${of}.TABLE_SCHEMA = ${quoteString(schema)} AND ${of}.TABLE_NAME = ${quoteString(table)}`).join('')
  const rows = await connection.allText(
    `SELECT c.TABLE_NAME AS t, c.COLUMN_NAME AS c, c.DATA_TYPE AS d, c.COLUMN_TYPE AS y, c.CHARACTER_SET_NAME AS s, c.COLLATION_NAME AS o,
       c.IS_NULLABLE AS n, c.EXTRA AS e
     FROM information_schema.COLUMNS c JOIN information_schema.TABLES t USING (TABLE_SCHEMA, TABLE_NAME)
     WHERE c.TABLE_SCHEMA = ${quoteString(schema)}${named} AND t.TABLE_TYPE IN ('BASE TABLE', 'SYSTEM VERSIONED')
     ORDER BY c.TABLE_NAME, c.ORDINAL_POSITION`,
  )
  const tables = new Map<string, ColumnDefinition[]>()
  for (const row of rows) {
    const name = row['t'] ?? ''
    let columns = tables.get(name)
    if (columns === undefined) tables.set(name, (columns = []))
    columns.push({
      name: row['c'] ?? '',
      dataType: (row['d'] ?? '').toLowerCase(),
      columnType: row['y'] ?? '',
      charset: charsetName(row['s'] ?? null),
      collation: charsetName(row['o'] ?? null),
      nullable: row['n'] === 'YES',
      // MySQL also says DEFAULT_GENERATED, of columns with a default expression.
      generated: /\b(VIRTUAL|STORED|PERSISTENT) GENERATED\b/i.test(row['e'] ?? ''),
    })
  }
  return tables
}

async function longKeys(connection: Connection, schema: string): Promise<[string, number][]> {
  const rows = await connection.allText(
    `SELECT s.TABLE_NAME AS t, COUNT(DISTINCT s.INDEX_NAME) AS n FROM information_schema.STATISTICS s JOIN information_schema.TABLES t USING (TABLE_SCHEMA, TABLE_NAME)
     WHERE s.TABLE_SCHEMA = ${quoteString(schema)} AND s.INDEX_TYPE = 'HASH' AND s.NON_UNIQUE = 0 AND t.ENGINE <> 'MEMORY' GROUP BY s.TABLE_NAME`,
  )
  return rows.map(({ t, n }) => [t ?? '', Number(n)])
}

function hashColumn(number: number): ColumnDefinition {
  const name = `DB_ROW_HASH_${number}`
  return { name, dataType: 'bigint', columnType: 'bigint(20) unsigned', charset: null, collation: null, nullable: true, generated: true }
}
