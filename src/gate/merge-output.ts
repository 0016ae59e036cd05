/** A merged answer on its way to the client: how its columns are told, and whether it is within what the user may have. */
import type { Column } from '../mysql/connection.ts'
import { toldAsBytes } from './binary-results.ts'
import type { Guard } from './guard.ts'
import type { MergeOutput } from './merge.ts'
import type { ResultWriter } from './result-writer.ts'

/**
 * @param bytes text is told as bytes (`character_set_results = binary`)
 * @param change what servers call otherwise than clients
 * @param status the session's
 */
export function mergeOutput(
  writer: ResultWriter,
  guard: Guard,
  bytes: boolean,
  change: ((column: Column) => Column) | undefined,
  status: number,
): Required<MergeOutput> {
  const within = (taken: Promise<void> | undefined): Promise<void> | undefined => {
    if (guard.quota !== null) guard.requireWithin(writer.rows, writer.bytesSoFar)
    return taken
  }
  return {
    columns(columns, hidden) {
      const named = change === undefined ? columns : columns.map(change)
      writer.columns(bytes ? named.map(toldAsBytes) : named, hidden, status)
    },
    row: (row) => within(writer.row(row)),
    packet: (rows, row) => within(writer.packet(rows, row)),
  }
}
