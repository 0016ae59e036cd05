/**
 * Reads the definitions of a schema: a few queries over information_schema for all tables at once, and one pipelined SHOW
 * CREATE for each object; so five hundred tables take about as long as the server needs to print them.
 */
import { append } from '../base/append.ts'
import { quoteIdentifier, quoteQualified, quoteString } from '../sql/quote.ts'
import type { Connection, Result } from './connection.ts'
import { mysqlErrors } from './errors.ts'
import { flavourOf } from './flavour/flavour.ts'
import { isOn, need, variables, type TextRow } from './flavour/shared.ts'
import { fenceTriggerPrefix } from './table-info.ts'
import type {
  EventInfo,
  ForeignKey,
  RoutineInfo,
  SchemaInfo,
  ServerFacts,
  TableColumn,
  TableInfo,
  TableKey,
  TriggerInfo,
  ViewInfo,
} from './table-info.ts'

/**
 * @param only names of tables to read; all without it
 * @throws SW-MYSQL-018 when there is no such schema
 */
export async function readSchema(connection: Connection, schema: string, only?: readonly string[]): Promise<SchemaInfo> {
  const of = `= ${quoteString(schema)}`
  const tableFilter =
    only === undefined ? '' : only.length === 0 ? ' AND FALSE' : ` AND TABLE_NAME IN (${only.map(quoteString).join(', ')})`
  const fresh = flavourOf(connection).freshStatisticsSql
  if (fresh !== null) await connection.query(fresh)
  const [schemas, tables, columns, statistics, keyUsage, rules, triggers, views, events, routines] = await Promise.all([
    connection.allText(
      `SELECT SCHEMA_NAME AS name, DEFAULT_CHARACTER_SET_NAME AS charset, DEFAULT_COLLATION_NAME AS collation FROM information_schema.SCHEMATA WHERE SCHEMA_NAME ${of}`,
    ),
    connection.allText(
      `SELECT * FROM information_schema.TABLES WHERE TABLE_SCHEMA ${of}${tableFilter} AND TABLE_TYPE NOT LIKE '%VIEW' ORDER BY TABLE_NAME`,
    ),
    connection.allText(
      `SELECT * FROM information_schema.COLUMNS WHERE TABLE_SCHEMA ${of}${tableFilter} ORDER BY TABLE_NAME, ORDINAL_POSITION`,
    ),
    connection.allText(
      `SELECT * FROM information_schema.STATISTICS WHERE TABLE_SCHEMA ${of}${tableFilter} ORDER BY TABLE_NAME, INDEX_NAME, SEQ_IN_INDEX`,
    ),
    connection.allText(
      `SELECT CONSTRAINT_NAME, TABLE_NAME, COLUMN_NAME, REFERENCED_TABLE_SCHEMA, REFERENCED_TABLE_NAME, REFERENCED_COLUMN_NAME
       FROM information_schema.KEY_COLUMN_USAGE WHERE TABLE_SCHEMA ${of}${tableFilter} AND REFERENCED_TABLE_NAME IS NOT NULL ORDER BY TABLE_NAME, CONSTRAINT_NAME, ORDINAL_POSITION`,
    ),
    connection.allText(
      `SELECT TABLE_NAME, CONSTRAINT_NAME, UPDATE_RULE, DELETE_RULE FROM information_schema.REFERENTIAL_CONSTRAINTS WHERE CONSTRAINT_SCHEMA ${of}${tableFilter}`,
    ),
    connection.allText(
      `SELECT TRIGGER_NAME, EVENT_OBJECT_TABLE, ACTION_TIMING, EVENT_MANIPULATION, DEFINER FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA ${of} AND LEFT(TRIGGER_NAME, ${fenceTriggerPrefix.length}) <> '${fenceTriggerPrefix}' ORDER BY TRIGGER_NAME`,
    ),
    connection.allText(`SELECT TABLE_NAME, DEFINER FROM information_schema.VIEWS WHERE TABLE_SCHEMA ${of} ORDER BY TABLE_NAME`),
    connection.allText(`SELECT EVENT_NAME, DEFINER, STATUS FROM information_schema.EVENTS WHERE EVENT_SCHEMA ${of} ORDER BY EVENT_NAME`),
    connection.allText(
      `SELECT ROUTINE_NAME, ROUTINE_TYPE, DEFINER FROM information_schema.ROUTINES WHERE ROUTINE_SCHEMA ${of} ORDER BY ROUTINE_NAME`,
    ),
  ])
  const found = schemas[0]
  if (found === undefined) throw mysqlErrors.unknownSchema({ schema, server: connection.server })

  const columnsOf = groupBy(columns, 'TABLE_NAME')
  const statisticsOf = groupBy(statistics, 'TABLE_NAME')
  const usageOf = groupBy(keyUsage, 'TABLE_NAME')
  const tableNames = tables.map((row) => need(row, 'TABLE_NAME'))
  const name = (row: TextRow, column: string): string => quoteQualified(schema, need(row, column))
  const created = await connection.pipeline([
    ...tableNames.map((table) => `SHOW CREATE TABLE ${quoteQualified(schema, table)}`),
    ...triggers.map((row) => `SHOW CREATE TRIGGER ${name(row, 'TRIGGER_NAME')}`),
    ...views.map((row) => `SHOW CREATE VIEW ${name(row, 'TABLE_NAME')}`),
    ...events.map((row) => `SHOW CREATE EVENT ${name(row, 'EVENT_NAME')}`),
  ])
  const texts = created.values()
  const nextText = (column: number): string => cellText(texts.next().value, column)

  const tableInfos = tables.map((row): TableInfo => {
    const table = need(row, 'TABLE_NAME')
    const tableColumns = (columnsOf.get(table) ?? []).map(columnInfo)
    return {
      schema,
      name: table,
      kind: need(row, 'TABLE_TYPE'),
      engine: row['ENGINE'] ?? '',
      rowFormat: row['ROW_FORMAT'] ?? '',
      // Every collation is named after its charset.
      charset: (row['TABLE_COLLATION'] ?? '').split('_', 1)[0] ?? '',
      collation: row['TABLE_COLLATION'] ?? '',
      createOptions: row['CREATE_OPTIONS'] ?? '',
      partitioned: /partitioned/i.test(row['CREATE_OPTIONS'] ?? ''),
      comment: row['TABLE_COMMENT'] ?? '',
      rowsEstimate: Number(row['TABLE_ROWS'] ?? 0),
      dataBytes: Number(row['DATA_LENGTH'] ?? 0),
      indexBytes: Number(row['INDEX_LENGTH'] ?? 0),
      autoIncrement: row['AUTO_INCREMENT'] == null ? null : BigInt(row['AUTO_INCREMENT']),
      columns: tableColumns,
      keys: keysOf(statisticsOf.get(table) ?? [], tableColumns),
      foreignKeys: foreignKeysOf(
        usageOf.get(table) ?? [],
        rules.filter((rule) => rule['TABLE_NAME'] === table),
      ),
      triggers: [],
      createSql: nextText(1),
    }
  })
  const byName = new Map(tableInfos.map((table) => [table.name, table]))
  for (const row of triggers) {
    const trigger: TriggerInfo = {
      name: need(row, 'TRIGGER_NAME'),
      table: need(row, 'EVENT_OBJECT_TABLE'),
      timing: need(row, 'ACTION_TIMING'),
      event: need(row, 'EVENT_MANIPULATION'),
      definer: need(row, 'DEFINER'),
      createSql: nextText(2),
    }
    byName.get(trigger.table)?.triggers.push(trigger)
  }
  return {
    name: need(found, 'name'),
    charset: need(found, 'charset'),
    collation: need(found, 'collation'),
    tables: tableInfos,
    views: views.map((row): ViewInfo => ({ name: need(row, 'TABLE_NAME'), definer: need(row, 'DEFINER'), createSql: nextText(1) })),
    events: events.map((row): EventInfo => ({
      name: need(row, 'EVENT_NAME'),
      definer: need(row, 'DEFINER'),
      status: need(row, 'STATUS'),
      createSql: nextText(3),
    })),
    routines: routines.map((row): RoutineInfo => ({
      name: need(row, 'ROUTINE_NAME'),
      kind: need(row, 'ROUTINE_TYPE') as RoutineInfo['kind'],
      definer: need(row, 'DEFINER'),
    })),
  }
}

/** @throws SW-MYSQL-017 when there is no such table */
export async function readTable(connection: Connection, schema: string, table: string): Promise<TableInfo> {
  const info = (await readSchema(connection, schema, [table])).tables[0]
  if (info === undefined) throw mysqlErrors.unknownTable({ schema, table, server: connection.server })
  return info
}

export async function listSchemas(connection: Connection): Promise<string[]> {
  const rows = await connection.allText(
    "SELECT SCHEMA_NAME AS name FROM information_schema.SCHEMATA WHERE SCHEMA_NAME NOT IN ('mysql', 'sys', 'information_schema', 'performance_schema') ORDER BY SCHEMA_NAME",
  )
  return rows.map((row) => need(row, 'name'))
}

/** Greatest value of a column, as decimal text; null when the table is empty. */
export async function maxOf(connection: Connection, schema: string, table: string, column: string): Promise<string | null> {
  return (await connection.value(`SELECT MAX(${quoteIdentifier(column)}) FROM ${quoteQualified(schema, table)}`)) ?? null
}

export async function readServer(connection: Connection): Promise<ServerFacts> {
  const [identity, v] = await Promise.all([
    flavourOf(connection).identity(connection),
    variables(connection, [
      'read_only',
      'sql_mode',
      'time_zone',
      'system_time_zone',
      'lower_case_table_names',
      'collation_server',
      'max_allowed_packet',
      'transaction_isolation',
      'tx_isolation',
      'event_scheduler',
      'wait_timeout',
    ]),
  ])
  return {
    version: connection.serverVersion,
    versionNumber: connection.versionNumber,
    uuid: identity.uuid,
    serverId: identity.serverId,
    readOnly: isOn(v.get('read_only')),
    sqlMode: v.get('sql_mode') ?? '',
    timeZone: v.get('time_zone') ?? '',
    systemTimeZone: v.get('system_time_zone') ?? '',
    lowerCaseTableNames: Number(v.get('lower_case_table_names') ?? 0),
    collation: v.get('collation_server') ?? '',
    maxAllowedPacketBytes: Number(v.get('max_allowed_packet') ?? 0),
    isolation: v.get('transaction_isolation') ?? v.get('tx_isolation') ?? '',
    eventScheduler: isOn(v.get('event_scheduler')),
    waitTimeoutS: Number(v.get('wait_timeout') ?? 0),
  }
}

function cellText(result: Result | undefined, column: number): string {
  const cell = result?.kind === 'rows' ? result.rows[0]?.[column] : undefined
  if (cell === undefined || cell === null)
    throw mysqlErrors.unexpectedAnswer({ server: 'the server', got: 'nothing', wanted: 'a SHOW CREATE text (is a privilege missing?)' })
  return cell.toString('utf8')
}

function columnInfo(row: TextRow): TableColumn {
  const extra = row['EXTRA'] ?? ''
  const expression = row['GENERATION_EXPRESSION'] ?? ''
  const columnType = need(row, 'COLUMN_TYPE')
  return {
    name: need(row, 'COLUMN_NAME'),
    position: Number(need(row, 'ORDINAL_POSITION')),
    dataType: need(row, 'DATA_TYPE').toLowerCase(),
    columnType,
    unsigned: /\bunsigned\b/i.test(columnType) && !/^(enum|set)\b/i.test(columnType),
    charset: row['CHARACTER_SET_NAME'] ?? null,
    collation: row['COLLATION_NAME'] ?? null,
    lengthMax: row['CHARACTER_MAXIMUM_LENGTH'] == null ? null : Number(row['CHARACTER_MAXIMUM_LENGTH']),
    nullable: row['IS_NULLABLE'] === 'YES',
    defaultText: row['COLUMN_DEFAULT'] ?? null,
    autoIncrement: /\bauto_increment\b/i.test(extra),
    generated: expression === '' ? null : { expression, stored: !/VIRTUAL/i.test(extra) },
    invisible: /\bINVISIBLE\b/i.test(extra),
    extra,
    comment: row['COLUMN_COMMENT'] ?? '',
  }
}

function keysOf(rows: readonly TextRow[], columns: readonly TableColumn[]): TableKey[] {
  // A generated column does not count: rows are written with their keys, and a server takes no value for it.
  const naming = new Set(columns.filter((column) => !column.nullable && column.generated === null).map((column) => column.name))
  const keys: TableKey[] = []
  for (const [name, parts] of groupBy(rows, 'INDEX_NAME')) {
    const first = parts[0] as TextRow
    const unique = first['NON_UNIQUE'] === '0'
    keys.push({
      name,
      primary: name === 'PRIMARY',
      unique,
      type: first['INDEX_TYPE'] ?? '',
      parts: parts.map((part) => ({
        column: part['COLUMN_NAME'] ?? null,
        // Printed there as what stands in a text would be.
        expression: part['EXPRESSION']?.replace(/\\(.)/gs, '$1') ?? null,
        prefixLength: part['SUB_PART'] == null ? null : Number(part['SUB_PART']),
        descending: part['COLLATION'] === 'D',
      })),
      identifiesRows:
        unique && parts.every((part) => part['COLUMN_NAME'] != null && part['SUB_PART'] == null && naming.has(part['COLUMN_NAME'])),
      visible: part1(first, 'IS_VISIBLE') !== 'NO' && part1(first, 'IGNORED') !== 'YES',
    })
  }
  return keys.sort((a, b) => Number(b.primary) - Number(a.primary))
}

function part1(row: TextRow, column: string): string {
  return row[column] ?? ''
}

function foreignKeysOf(usage: readonly TextRow[], rules: readonly TextRow[]): ForeignKey[] {
  return [...groupBy(usage, 'CONSTRAINT_NAME')].map(([name, rows]) => {
    const first = rows[0] as TextRow
    const rule = rules.find((candidate) => candidate['CONSTRAINT_NAME'] === name)
    return {
      name,
      columns: rows.map((row) => need(row, 'COLUMN_NAME')),
      referencedSchema: need(first, 'REFERENCED_TABLE_SCHEMA'),
      referencedTable: need(first, 'REFERENCED_TABLE_NAME'),
      referencedColumns: rows.map((row) => need(row, 'REFERENCED_COLUMN_NAME')),
      onUpdate: rule?.['UPDATE_RULE'] ?? 'RESTRICT',
      onDelete: rule?.['DELETE_RULE'] ?? 'RESTRICT',
    }
  })
}

function groupBy(rows: readonly TextRow[], column: string): Map<string, TextRow[]> {
  const out = new Map<string, TextRow[]>()
  for (const row of rows) append(out, need(row, column), row)
  return out
}
