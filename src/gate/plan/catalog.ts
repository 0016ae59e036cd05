/**
 * What the planner must know about keyspaces and tables, as an interface: the gate implements it over the topology's vschema (watched)
 * and the columns that it reads from a shard. Whenever any of it changes, `generation` grows and cached plans are dropped.
 */
import type { Value } from '../../sql/value.ts'

export type Catalog = {
  /** Grows with each change of vschema or of loaded columns. */
  readonly generation: number
  /** Undefined: no such keyspace. Names are compared as written. */
  keyspace(name: string): KeyspaceInfo | undefined
}

export type KeyspaceInfo = {
  readonly name: string
  readonly sharded: boolean
  /** True when every shard's database has the keyspace's own name: `app.t` may then be sent as it is. */
  readonly schemaNamesEqual: boolean
  /** Of a sharded keyspace: the table's entry in the vschema; undefined: not there. */
  table(name: string): VschemaTable | undefined
  /**
   * The table's columns as a shard has them. `undefined`: not loaded yet (the plan becomes `needs-schema`);
   * `null`: the shard has no such table (the statement goes to one shard, whose error the client gets).
   */
  columns(table: string): TableColumns | null | undefined
}

export type VschemaTable =
  | { readonly kind: 'reference' }
  | { readonly kind: 'sequence' }
  | {
      readonly kind: 'sharded'
      /** The primary vindex: it alone says where a row is. */
      readonly primary: { readonly columns: readonly string[]; readonly vindex: VindexRef }
      /** Owned lookup vindexes and the like: statements that would have to maintain them are refused. */
      readonly ownsLookup: boolean
      readonly autoIncrement: { readonly column: string; readonly sequence: string } | null
    }

/** A functional vindex, already constructed with its parameters. */
export type VindexRef = {
  /** Two tables are co-located when these are equal: type and parameters, not the name. */
  readonly identity: string
  readonly type: string
  /** Keyspace id of the values of its columns; throws an SwError for a value that it can't map. */
  keyspaceId(values: readonly RoutingValue[]): Uint8Array
}

/** As the column holds it: an integer, or the bytes of its text in utf8mb4 (text columns) or as they are (binary columns). */
export type RoutingValue = null | bigint | Buffer

export type TableColumns = {
  readonly columns: readonly ColumnInfo[]
  /** Columns of unique keys that are all NOT NULL, primary first: lists of names. */
  readonly uniqueKeys: readonly (readonly string[])[]
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
  /** The DEFAULT as a constant; `undefined`: none, or an expression. */
  readonly default: Value | undefined
  /** Whether the collation ignores trailing spaces (PAD SPACE); null: not text. */
  readonly padSpace: boolean | null
}
