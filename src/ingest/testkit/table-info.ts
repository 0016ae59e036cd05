/** Tables as a server would describe them, for tests without one. */
import type { TableColumn, TableInfo } from '../../mysql/table-info.ts'

export function column(name: string, columnType: string, more: Partial<TableColumn> = {}): TableColumn {
  const dataType = columnType.replace(/[( ].*$/, '')
  const length = Number(/\((\d+)\)/.exec(columnType)?.[1] ?? NaN)
  return {
    name,
    position: 1,
    dataType,
    columnType,
    unsigned: /unsigned/.test(columnType),
    charset: /char|text/.test(dataType) ? 'utf8mb4' : null,
    collation: /char|text/.test(dataType) ? 'utf8mb4_bin' : null,
    lengthMax: Number.isNaN(length) ? null : length,
    nullable: false,
    defaultText: null,
    autoIncrement: false,
    generated: null,
    invisible: false,
    extra: '',
    comment: '',
    ...more,
  }
}

export function tableOf(name: string, columns: TableColumn[], key: string[], more: Partial<TableInfo> = {}): TableInfo {
  return {
    schema: 's',
    name,
    kind: 'BASE TABLE',
    engine: 'InnoDB',
    rowFormat: '',
    charset: 'utf8mb4',
    collation: 'utf8mb4_bin',
    createOptions: '',
    partitioned: false,
    comment: '',
    rowsEstimate: 0,
    dataBytes: 0,
    indexBytes: 0,
    autoIncrement: null,
    columns,
    keys: [
      {
        name: 'PRIMARY',
        primary: true,
        unique: true,
        type: 'BTREE',
        parts: key.map((part) => ({ column: part, expression: null, prefixLength: null, descending: false })),
        identifiesRows: true,
        visible: true,
      },
    ],
    foreignKeys: [],
    triggers: [],
    createSql: '',
    ...more,
  }
}
