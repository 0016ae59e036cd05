/**
 * Tables whose rows others write on the targets too (PROTOCOLS 4.13): a fleet merges records into them while the mover brings what stood before the
 * fleet's start. An image of the source is then merged as a record would be, by the server's upsert under the row's lock, and never replaces or
 * deletes what stands there.
 *
 * Why that is right: columns that merge only ever rise in their order (a later version, a lower minimum, a higher maximum), on either side, and merging is
 * idempotent and commutative. So whichever of mover and fleet comes first, and however often a chunk or a round is repeated after a crash, a row ends as the
 * merge of all that the source had and all that the fleet read. What does not rise in that order (a delete, another key, an older version put back) cannot
 * be merged: it stops the stream with its coordinates, since skipped it would make the sides differ in silence (promise 4).
 *
 * How a column merges is the writer's business, given from above: the same text as the fleet's own.
 */
import type { FlavourName } from '../mysql/connection.ts'
import type { RowsEvent } from '../binlog/source.ts'
import type { TableMerge } from '../topology/records.ts'
import type { RowEncoder } from './row-encoder.ts'

/** A row's canonical bytes, by the column's place among those given; null is NULL. */
export type CellOf = (column: number) => Buffer | null

export type MergedTable = {
  /** What follows the rows of an INSERT. */
  readonly onDuplicate: string
  /** Why a row that was `before` and is `after` cannot be merged, or null. */
  readonly refuses: (before: CellOf, after: CellOf) => string | null
}

export type MergeWriter = (
  table: {
    readonly name: string
    readonly columns: readonly { readonly name: string; readonly dataType: string; readonly key: boolean }[]
    readonly merge: TableMerge
  },
  flavour: FlavourName,
) => MergedTable

/** Why a row cannot be merged, or null: it may only rise in the order of its columns. */
export function whyUnmergeable(
  merged: MergedTable,
  encoder: RowEncoder,
  before: NonNullable<RowsEvent['before']>,
  after: RowsEvent['after'],
  row: number,
  oldKey: string | null,
  newKey: string | null,
): string | null {
  if (after === null) return 'the row was deleted'
  if (newKey !== oldKey) return `its key became ${newKey}`
  return merged.refuses(
    (column) => encoder.cell(before, row, column),
    (column) => encoder.cell(after, row, column),
  )
}
