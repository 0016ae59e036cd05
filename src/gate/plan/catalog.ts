/**
 * What the planner must know about keyspaces and tables, as an interface: the gate implements it over the topology's vschema (watched)
 * and the columns that it reads from a shard. Whenever any of it changes, `generation` grows and cached plans are dropped.
 */
import type { ResolvedVschema } from '../../keyspace/vschema-resolve.ts'
import type { Trigger } from './triggers.ts'

export type Catalog = {
  /** Grows with each change of vschema or of loaded columns. */
  readonly generation: number
  /** Undefined: no such keyspace. Names are compared as written. */
  keyspace(name: string): KeyspaceInfo | undefined
}

export type KeyspaceInfo = {
  readonly name: string
  /** Whether it is sharded, and for each table its primary vindex, sequence or kind. */
  readonly vschema: ResolvedVschema
  /** True when every shard's database has the keyspace's own name: `app.t` may then be sent as it is. */
  readonly schemaNamesEqual: boolean
  /**
   * The table's columns as a shard has them. `undefined`: not loaded yet (the plan becomes `needs-schema`);
   * `null`: the shard has no such table (the statement goes to one shard, whose error the client gets).
   */
  columns(table: string): TableColumns | null | undefined
  /** `undefined`: not loaded yet. */
  readonly functions: StoredFunctions | undefined
}

/** Of a shard's schema, by name in lower case. */
export type StoredFunctions = {
  readonly all: ReadonlySet<string>
  /** Those that may read or write tables. */
  readonly reading: ReadonlySet<string>
  /** Those that may give each server a value of its own. */
  readonly varying: ReadonlySet<string>
  /** MariaDB: called for the rows of a group. */
  readonly aggregates: ReadonlySet<string>
}

export type TableColumns = {
  readonly columns: readonly ColumnInfo[]
  /** What a server says of them all, to see whether they are others by now (`shapeOf`). */
  readonly shape?: string
  /** The engine, where it is one without transactions. */
  readonly engine?: string | null
  /** The columns of each unique key, the primary first; prefix and expression keys left out. */
  readonly uniqueKeys: readonly (readonly string[])[]
  readonly triggers?: readonly Trigger[]
  /** Of its foreign keys those by which a change of another table's row sets its column. */
  readonly followers?: readonly Following[]
  /** Of a reference table: the same, of the tables that follow it. */
  readonly followed?: readonly Following[]
}

/** ON UPDATE CASCADE or SET NULL, ON DELETE SET NULL. */
export type Following = {
  readonly table: string
  readonly column: string
  readonly parent: string
  readonly of: string
  readonly onUpdate: string
  readonly onDelete: string
}

export type ColumnInfo = {
  readonly name: string
  /** `tinyint`, `bigint`, `decimal`, `varchar`, `binary`, `enum`, `datetime`, …: DATA_TYPE of information_schema, lower case. */
  readonly dataType: string
  readonly unsigned: boolean
  /** Of text; null for everything else. */
  readonly collation: string | null
  /** In characters (text) or bytes (binary); null where it has none. */
  readonly lengthMax: number | null
  readonly nullable: boolean
  /** INVISIBLE columns are not in `*`. */
  readonly invisible: boolean
  readonly generated: boolean
  /** An AUTO_INCREMENT of the server's own: the planner refuses inserts that leave such a column to it. */
  readonly autoIncrement: boolean
  /** Whether it has a DEFAULT other than NULL. */
  readonly hasDefault: boolean
  /** Its DEFAULT is an expression that gives another value each time. */
  readonly randomDefault?: boolean
  /** Its DEFAULT takes the next number of a sequence (MariaDB). */
  readonly drawnDefault?: boolean
  /** A SET of 64 members: by MySQL its number is signed in some orders, and not in others (tried). */
  readonly signedSet?: boolean
  /** Whether the collation ignores trailing spaces (PAD SPACE); null: not text. */
  readonly padSpace: boolean | null
}
