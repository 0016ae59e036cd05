/**
 * A vindex maps the values of a row's shard key columns to its keyspace id. Every functional vindex here equals Vitess's
 * of the same type bit by bit (held to the shared vectors by `vindexes/vectors.test.ts`): a keyspace can come from
 * Vitess, or go there, with its rows where they stand.
 */
import type { KeyRange } from './key-range.ts'
import type { KeyspaceId } from './keyspace-id.ts'

export type VindexValueType =
  | 'NULL'
  | 'INT8'
  | 'INT16'
  | 'INT24'
  | 'INT32'
  | 'INT64'
  | 'UINT8'
  | 'UINT16'
  | 'UINT24'
  | 'UINT32'
  | 'UINT64'
  | 'YEAR'
  | 'FLOAT32'
  | 'FLOAT64'
  | 'DECIMAL'
  | 'DATE'
  | 'TIME'
  | 'DATETIME'
  | 'TIMESTAMP'
  | 'CHAR'
  | 'VARCHAR'
  | 'TEXT'
  | 'ENUM'
  | 'SET'
  | 'JSON'
  | 'BINARY'
  | 'VARBINARY'
  | 'BLOB'
  | 'BIT'
  | 'GEOMETRY'
  | 'VECTOR'
  | 'UUID'
  | 'INET'

/**
 * A column's value as the server prints it: `bytes` are the text form of numbers and times (`-1`, `2026-01-01`), the raw
 * bytes of binary strings, and the UTF-8 of character strings whatever the column's charset; empty for NULL. Literals such as
 * x'00ff' come decoded. BINARY(n) comes with its trailing zeros (binlogs trim them).
 */
export type VindexValue = { readonly type: VindexValueType; readonly bytes: Uint8Array }

/** Texts within one buffer: text i is `data[spans[at], spans[at + 1])` with `at = first + i * step`; a negative start is NULL. */
export type TextSpans = { readonly data: Uint8Array; readonly spans: Int32Array; readonly first: number; readonly step: number }

export interface Vindex {
  /** Its name in the vschema. */
  readonly name: string
  readonly type: string
  /** Vitess's relative cost of a look-up: the cheapest vindex that fits a query is used. */
  readonly cost: number
  /** Whether a value maps to at most one keyspace id. All functional vindexes do. */
  readonly unique: true
  /** How many columns it takes. */
  readonly columns: number

  /**
   * The keyspace id of a row with these values, or `null` when it can't be routed (a number is expected and this is
   * none): no shard can hold such a row. Throws SW-KEYSPACE-013 or 014 where Vitess too reports an error, 015 when
   * there are not `columns` values.
   */
  map(values: readonly VindexValue[]): KeyspaceId | null

  /**
   * `map` for many rows of a single-column vindex, all of one type; `null` in the column is NULL. The ids may share
   * one buffer: copy what is kept for long.
   */
  mapMany?(type: VindexValueType, column: readonly (Uint8Array | null)[]): (KeyspaceId | null)[]

  /**
   * `mapMany` without an object for each value and id, where all ids have eight bytes: they come one after another. `null` when a value is NULL or none of
   * the type, or `type` is NULL: the general way says what that means.
   */
  mapTexts?(texts: TextSpans, type: VindexValueType, count: number): Buffer | null

  /** With fewer values than columns, from the first on: where all rows with these values stand. `null`: nowhere. */
  mapPrefix?(values: readonly VindexValue[]): KeyRange | null

  /**
   * A range that holds every row with low <= value <= high, either bound open when `null`, of columns that the
   * server compares as this vindex does (numbers, binary strings). `null`: nowhere.
   */
  mapBetween?(low: VindexValue | null, high: VindexValue | null): KeyRange | null

  /** The value that maps to `id`. SW-KEYSPACE-016 when there is none. */
  unmap?(id: KeyspaceId): VindexValue
}

export type VindexParams = Readonly<Record<string, string>>

/** What the constructor of a vindex may need from outside: files that its parameters name. */
export type VindexFiles = { readonly readText: (path: string) => string }
