/** What `introspect.ts` reads. Names and texts as the server gives them; `createSql` is the truth, the rest its reading. */

export type TableColumn = {
  name: string
  /** From 1. */
  position: number
  /** `int`, `varchar`, … in lower case. */
  dataType: string
  /** `int(10) unsigned`, `enum('a','b')`, … */
  columnType: string
  unsigned: boolean
  charset: string | null
  collation: string | null
  /** Characters for text, bytes for binary types. */
  lengthMax: number | null
  nullable: boolean
  /** As information_schema prints it: MariaDB quotes it as an expression, MySQL does not. Null: none (or NULL). */
  defaultText: string | null
  autoIncrement: boolean
  generated: { expression: string; stored: boolean } | null
  invisible: boolean
  /** Everything else the server says: `on update current_timestamp()`, `DEFAULT_GENERATED`, … */
  extra: string
  comment: string
}

export type KeyPart = {
  /** Null: the part is an expression. */
  column: string | null
  /** Of such a part, as it may stand in a statement. */
  expression: string | null
  prefixLength: number | null
  descending: boolean
}

export type TableKey = {
  name: string
  primary: boolean
  unique: boolean
  /** BTREE, HASH, FULLTEXT, SPATIAL, VECTOR … */
  type: string
  parts: KeyPart[]
  /** All parts are whole NOT NULL columns: it names each row. */
  identifiesRows: boolean
  /** The optimizer may use it. */
  visible: boolean
}

export type ForeignKey = {
  name: string
  columns: string[]
  referencedSchema: string
  referencedTable: string
  referencedColumns: string[]
  onUpdate: string
  onDelete: string
}

/** Names of the triggers by which a server is fenced (`switch/fence-triggers.ts`): ours, and no part of what a user made. */
export const fenceTriggerPrefix = '_sw_fence_'

export type TriggerInfo = { name: string; table: string; timing: string; event: string; definer: string; createSql: string }
export type EventInfo = { name: string; definer: string; status: string; createSql: string }
export type ViewInfo = { name: string; definer: string; createSql: string }
export type RoutineInfo = { name: string; kind: 'PROCEDURE' | 'FUNCTION'; definer: string }

export type TableInfo = {
  schema: string
  name: string
  /** `SYSTEM VERSIONED` and `SEQUENCE` exist on MariaDB only. */
  kind: 'BASE TABLE' | 'SYSTEM VERSIONED' | 'SEQUENCE' | string
  engine: string
  rowFormat: string
  charset: string
  collation: string
  createOptions: string
  partitioned: boolean
  comment: string
  /** Estimates of the server. */
  rowsEstimate: number
  dataBytes: number
  indexBytes: number
  /** The next value; null without AUTO_INCREMENT. */
  autoIncrement: bigint | null
  columns: TableColumn[]
  /** The primary key first. */
  keys: TableKey[]
  foreignKeys: ForeignKey[]
  triggers: TriggerInfo[]
  createSql: string
}

export type SchemaInfo = {
  name: string
  charset: string
  collation: string
  tables: TableInfo[]
  views: ViewInfo[]
  events: EventInfo[]
  routines: RoutineInfo[]
}

export type ServerFacts = {
  version: string
  versionNumber: number
  uuid: string
  serverId: number
  readOnly: boolean
  sqlMode: string
  timeZone: string
  systemTimeZone: string
  lowerCaseTableNames: number
  collation: string
  maxAllowedPacketBytes: number
  isolation: string
  eventScheduler: boolean
  waitTimeoutS: number
}
