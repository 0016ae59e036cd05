/** Columns and unique keys of a table as a shard has them, from its information_schema, in either flavour's words. */
import type { Connection, Result } from '../mysql/connection.ts'
import type { ResolvedTable } from '../keyspace/vschema-resolve.ts'
import { fenceTriggerPrefix } from '../mysql/table-info.ts'
import { quoteString } from '../sql/quote.ts'
import type { ColumnInfo, Following, StoredFunctions, TableColumns } from './plan/catalog.ts'
import { effectOf, type Trigger } from './plan/triggers.ts'

/**
 * null: no such table.
 * @param kind what it is in its keyspace: what more must be known of it
 */
export async function readColumns(
  connection: Connection,
  schema: string,
  table: string,
  kind: ResolvedTable['kind'] | undefined,
): Promise<TableColumns | null> {
  const where = `TABLE_SCHEMA = ${quoteString(schema)} AND TABLE_NAME = ${quoteString(table)}`
  const mariadb = connection.flavour === 'mariadb'
  const pad = mariadb ? 'NULL' : '(SELECT PAD_ATTRIBUTE FROM information_schema.COLLATIONS k WHERE k.COLLATION_NAME = c.COLLATION_NAME)'
  const columns = await connection.allText(
    `SELECT COLUMN_NAME AS name, DATA_TYPE AS data_type, COLUMN_TYPE AS column_type, COLLATION_NAME AS collation, CHARACTER_MAXIMUM_LENGTH AS length, IS_NULLABLE AS nullable, EXTRA AS extra, COLUMN_DEFAULT AS default_text, ${pad} AS pad FROM information_schema.COLUMNS c WHERE ${where} ORDER BY ORDINAL_POSITION`,
  )
  if (columns.length === 0) return null
  const engines = await connection.allText(
    `SELECT t.ENGINE AS engine FROM information_schema.TABLES t JOIN information_schema.ENGINES e ON e.ENGINE = t.ENGINE WHERE ${where} AND e.TRANSACTIONS <> 'YES'`,
  )
  const keys = await connection.allText(
    `SELECT INDEX_NAME AS name, COLUMN_NAME AS column_name, NULLABLE AS nullable, SUB_PART AS part FROM information_schema.STATISTICS WHERE ${where} AND NON_UNIQUE = 0 ORDER BY INDEX_NAME <> 'PRIMARY', INDEX_NAME, SEQ_IN_INDEX`,
  )
  const unique = new Map<string, { columns: string[]; usable: boolean }>()
  for (const row of keys) {
    const name = row['name'] ?? ''
    let key = unique.get(name)
    if (key === undefined) unique.set(name, (key = { columns: [], usable: true }))
    if (row['column_name'] == null || row['part'] != null) key.usable = false
    else key.columns.push(row['column_name'])
  }
  return {
    columns: columns.map((row) => columnOf(row, mariadb)),
    shape: shapeOf(columns.map((row) => [row['name'], row['column_type'], row['collation'], row['nullable']])),
    engine: engines[0]?.['engine'] ?? null,
    uniqueKeys: [...unique.values()].filter((key) => key.usable).map((key) => key.columns),
    ...(kind === undefined || kind === 'unsharded' ? {} : { triggers: await readTriggers(connection, schema, table) }),
    ...(kind === 'sharded' ? { followers: await readFollowing(connection, schema, 'TABLE_NAME', table) } : {}),
    ...(kind === 'reference' ? { followed: await readFollowing(connection, schema, 'REFERENCED_TABLE_NAME', table) } : {}),
  }
}

/** @param side whose name is given: the table that has the foreign key, or the one that it names. (For the latter MariaDB looks at all tables.) */
async function readFollowing(
  connection: Connection,
  schema: string,
  side: 'TABLE_NAME' | 'REFERENCED_TABLE_NAME',
  table: string,
): Promise<Following[]> {
  const rows = await connection.allText(
    `SELECT k.TABLE_NAME AS child, k.COLUMN_NAME AS column_name, k.REFERENCED_TABLE_NAME AS parent, k.REFERENCED_COLUMN_NAME AS of_name, r.UPDATE_RULE AS on_update, r.DELETE_RULE AS on_delete FROM information_schema.REFERENTIAL_CONSTRAINTS r JOIN information_schema.KEY_COLUMN_USAGE k ON k.CONSTRAINT_SCHEMA = r.CONSTRAINT_SCHEMA AND k.CONSTRAINT_NAME = r.CONSTRAINT_NAME AND k.TABLE_NAME = r.TABLE_NAME WHERE r.CONSTRAINT_SCHEMA = ${quoteString(schema)} AND r.${side} = ${quoteString(table)} AND k.CONSTRAINT_SCHEMA = ${quoteString(schema)} AND k.TABLE_SCHEMA = ${quoteString(schema)} AND k.REFERENCED_TABLE_NAME IS NOT NULL AND (r.UPDATE_RULE IN ('CASCADE', 'SET NULL') OR r.DELETE_RULE = 'SET NULL') ORDER BY 1, 2, 4`,
  )
  return rows.map((row) => ({
    table: row['child'] ?? '',
    column: row['column_name'] ?? '',
    parent: row['parent'] ?? '',
    of: row['of_name'] ?? '',
    onUpdate: row['on_update'] ?? '',
    onDelete: row['on_delete'] ?? '',
  }))
}

async function readTriggers(connection: Connection, schema: string, table: string): Promise<Trigger[]> {
  const rows = await connection.allText(
    `SELECT TRIGGER_NAME AS name, EVENT_MANIPULATION AS event, ACTION_STATEMENT AS body, SQL_MODE AS mode FROM information_schema.TRIGGERS WHERE EVENT_OBJECT_SCHEMA = ${quoteString(schema)} AND EVENT_OBJECT_TABLE = ${quoteString(table)} ORDER BY TRIGGER_NAME`,
  )
  // A fence's are ours: what they refuse, a gate waits for.
  const theirs = rows.filter(({ name }) => name?.startsWith(fenceTriggerPrefix) !== true)
  return theirs.map(({ name, event, body, mode }) => ({
    name: name ?? '',
    events: (event ?? '').split(','),
    varies: isVarying(body ?? null, false),
    ...effectOf(body ?? '`', mode?.includes('NO_BACKSLASH_ESCAPES') === true),
  }))
}

function shapeOf(columns: readonly (readonly (string | null | undefined)[])[]): string {
  return JSON.stringify(columns)
}

/** The same of what SHOW FULL COLUMNS answers, which servers tell of temporary tables too. */
export function shapeShown(answer: Result): string {
  if (answer.kind !== 'rows') return ''
  const places = ['field', 'type', 'collation', 'null'].map((name) => answer.columns.findIndex((c) => c.name.toLowerCase() === name))
  return shapeOf(answer.rows.map((row) => places.map((place) => row[place]?.toString('utf8') ?? null)))
}

function columnOf(row: Record<string, string | null>, mariadb: boolean): ColumnInfo {
  const dataType = (row['data_type'] ?? '').toLowerCase()
  const extra = (row['extra'] ?? '').toUpperCase()
  const collation = row['collation'] ?? null
  return {
    name: row['name'] ?? '',
    dataType,
    unsigned: /\bunsigned\b/i.test(row['column_type'] ?? ''),
    collation,
    lengthMax: row['length'] == null ? null : Number(row['length']),
    nullable: row['nullable'] === 'YES',
    invisible: extra.includes('INVISIBLE'),
    generated: /\b(VIRTUAL|STORED|PERSISTENT)( GENERATED)?\b/.test(extra) && !extra.includes('DEFAULT_GENERATED'),
    autoIncrement: extra.includes('AUTO_INCREMENT'),
    randomDefault: isMade(row['default_text'] ?? null, random, mariadb, extra),
    drawnDefault: isMade(row['default_text'] ?? null, drawn, mariadb, extra),
    hasDefault: (row['default_text'] ?? 'NULL') !== 'NULL',
    signedSet: dataType === 'set' && (row['column_type']?.match(/'(?:[^']|'')*'/g) ?? []).length === 64,
    padSpace: collation === null ? null : mariadb ? !/nopad/i.test(collation) : row['pad'] === 'PAD SPACE',
  }
}

/** MariaDB quotes what is a text; MySQL tells of expressions beside it. (CURRENT_TIMESTAMP is the statement's, which all shards are given.) */
function isMade(text: string | null, by: RegExp, mariadb: boolean, extra: string): boolean {
  if (text === null || (mariadb ? text.startsWith("'") : !extra.includes('DEFAULT_GENERATED'))) return false
  return by.test(text)
}

const drawn = /\b(nextval|next\s+value)\b/i
const random = /\b(rand|uuid|uuid_short|uuid_v[47]|sys_guid|random_bytes|encrypt|sysdate|nextval|next\s+value)\b/i

/** Whether each server may make its own of it. What is declared DETERMINISTIC is believed where its text can't be read: elsewhere it is often said for the binary log's sake alone. */
function isVarying(body: string | null, deterministic: boolean): boolean {
  if (body === null) return !deterministic
  // A connection's own, or a server's. (Not an address in a text.)
  const strings = /'(?:[^'\\]|\\.|'')*'|"(?:[^"\\]|\\.|"")*"/gs
  return random.test(body) || /\bconnection_id\b|@@/i.test(body) || body.replaceAll(strings, '').includes('@')
}

const reads = /\b(SELECT|INTO|UPDATE|DELETE|INSERT|REPLACE|CALL|HANDLER|TABLE|EXECUTE)\b/i

/**
 * Stored functions of a schema. Those may see rows: all but those declared NO SQL, and those whose text can be read and names neither a statement about rows nor another stored
 * function. (CONTAINS SQL is what a server says of functions that nobody declared, whatever they do.)
 */
export async function readStoredFunctions(connection: Connection, schema: string): Promise<StoredFunctions> {
  const rows = await connection.allText(
    `SELECT ROUTINE_NAME AS name, SQL_DATA_ACCESS AS access, ROUTINE_DEFINITION AS body, IS_DETERMINISTIC AS fixed FROM information_schema.ROUTINES WHERE ROUTINE_TYPE = 'FUNCTION' AND ROUTINE_SCHEMA = ${quoteString(schema)}`,
  )
  const names = rows.map((row) => (row['name'] ?? '').toLowerCase())
  const isPlain = (row: (typeof rows)[number]): boolean => {
    if (row['access'] === 'NO SQL') return true
    const body = row['body'] ?? null
    // A handler of conditions is declared; HANDLER as a statement reads a table.
    if (body === null || reads.test(body.replaceAll(/\bHANDLER\s+FOR\b/gi, ''))) return false
    const words = new Set(body.toLowerCase().match(/[\w$\u0080-\uffff]+/g) ?? [])
    return !names.some((name) => name !== row['name']?.toLowerCase() && words.has(name))
  }
  const named = (which: (row: (typeof rows)[number]) => boolean): Set<string> =>
    new Set(names.filter((_, i) => which(rows[i] as (typeof rows)[number])))
  return {
    all: new Set(names),
    reading: named((row) => !isPlain(row)),
    varying: named((row) => isVarying(row['body'] ?? null, row['fixed'] === 'YES')),
    // CREATE AGGREGATE FUNCTION: only such a one asks for the next row of its group, and each does.
    aggregates: named((row) => row['body'] == null || /\bFETCH\s+GROUP\s+NEXT\s+ROW\b/i.test(row['body'])),
  }
}
