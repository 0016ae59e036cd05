/** The part of the contract (plan.ts) about statements that are put together at one place. */
import type { Vindex } from '../../keyspace/vindex.ts'
import type { ColumnInfo } from './catalog.ts'
import type { OwnedLookup } from './lookup.ts'
import type { CountedColumn } from './server-ids.ts'
import type { Destination, Piece, Refusal, SequencePlan, Slot, Text } from './plan.ts'

/**
 * What no shard can answer alone: the rows that matter of each table are fetched from their shards into temporary tables on one server, which
 * runs the client's own statement over those (docs/decisions/011).
 */
export type GatherPlan = {
  /** In the order in which they are fetched. */
  readonly steps: readonly GatherStep[]
  /** The statement, with the tables' names replaced. */
  readonly text: Text
  /** Why the shards can't answer it each for itself. */
  readonly refusal: Refusal
  readonly use: GatherUse
  /** A write that computes of parameters alone (lone-parameters.ts). */
  readonly alone?: boolean
  /** Within a transaction, how the rows are locked that are fetched for a SELECT. */
  readonly lock?: ' FOR UPDATE' | ' LOCK IN SHARE MODE'
}

/** What is done with the rows that were put together. */
export type GatherUse =
  /** The statement is a SELECT and runs over them, once. */
  | { readonly kind: 'read' }
  /**
   * `text` selects the rows to change: the target's columns, then what they are set to where other tables are named for that. Sent to their shards:
   * `before`, the rows, `after`; a row is a tuple of the columns, or a SELECT of all with the names c0, c1, …
   */
  | {
      readonly kind: 'chosen'
      readonly target: WriteTarget
      /** The columns that are set to values of other tables. */
      readonly set: readonly ColumnInfo[]
      readonly ignore: boolean
      /** What a strict MariaDB does about a condition that can't be read: of a DELETE, and where it looks for the first rows of an order before it changes any, it is but warned (*tried*). */
      readonly strictMariadb: 'refuses' | 'warns'
      readonly limit: Slot | null
      readonly before: readonly Piece[]
      readonly after: readonly Piece[]
      readonly row: 'tuple' | 'select'
    }
  /**
   * The statement itself is an UPDATE that may change shard keys: it runs over the rows that were put together, and what it changed is removed by its old key and
   * inserted where it belongs now.
   */
  | {
      readonly kind: 'moved'
      /** Its columns: of a row before, to find it. */
      readonly target: WriteTarget
      /** The whole row after. */
      readonly row: WriteTarget
      readonly lookups: readonly { readonly lookup: OwnedLookup; readonly at: readonly number[] }[]
      readonly before: readonly Piece[]
      readonly after: readonly Piece[]
    }
  /** `text` is the SELECT of an INSERT: its rows, as the columns would store them, are inserted on their shards by `before` VALUES … `after`. */
  | {
      readonly kind: 'inserted'
      readonly target: WriteTarget
      readonly ignore: boolean
      readonly before: readonly Piece[]
      readonly after: readonly Piece[]
      readonly ids: DrawnIds | null
      /** `row`: its VALUES is one; the answer then says nothing of records. */
      readonly of: 'select' | 'rows' | 'row'
      /** What the table owns, and of which of the target's columns each is made; -1: the id that is drawn. */
      readonly lookups: readonly { readonly lookup: OwnedLookup; readonly at: readonly number[] }[]
    }

/** Of rows that are put together: `at` is the place of their ids, where a NULL or a 0 leaves it open; -1: all are drawn. */
export type DrawnIds = { readonly at: number } & (
  | { readonly sequence: SequencePlan; readonly counted: null }
  /** Nothing draws them: refused. */
  | { readonly sequence: null; readonly counted: CountedColumn }
)

export type WriteTarget = {
  readonly table: string
  readonly columns: readonly ColumnInfo[]
  /** Where a row stands: by columns that are the values of these numbers; -1: the id that is drawn. */
  readonly place:
    | {
        readonly kind: 'vindex'
        readonly vindex: Vindex
        readonly columns: readonly { readonly column: ColumnInfo; readonly at: number }[]
      }
    | { readonly kind: 'keyspace-id'; readonly id: Uint8Array }
    | { readonly kind: 'everywhere' }
}

export type GatherStep = {
  readonly table: string
  readonly alias: string
  /** Fetched: what the statement mentions and what keeps rows apart. `all`: when fewer could not be stored. */
  readonly columns: readonly ColumnInfo[]
  readonly all: readonly ColumnInfo[]
  /** Of the table, as known. */
  readonly shape: string | undefined
  /** Conditions over this table alone. */
  readonly filters: readonly (readonly Piece[])[]
  readonly destination: Destination
  /** A table that every shard has: fetched only in a transaction, which may have changed it. */
  readonly copied: boolean
  /** `column` equals a column of an earlier step in every row that matters. */
  readonly reductions: readonly { readonly column: ColumnInfo; readonly step: number; readonly of: ColumnInfo }[]
  /** To find the shards of the values that a reduction gives. */
  readonly key: { readonly column: ColumnInfo; readonly vindex: Vindex } | null
}
