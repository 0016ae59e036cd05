/** PROTOCOLS 1.8: an applier row of the opposite direction of our own workflow marks an echo. */
import type { RowsEvent } from '../binlog/source.ts'
import type { TailConsumerOptions } from './tail-consumer-options.ts'

/** Whether rows of `move_applier` have one. */
export function isEcho(
  { table, after, length }: RowsEvent,
  { workflowUid, oppositeDirection }: Pick<TailConsumerOptions, 'workflowUid' | 'oppositeDirection'>,
): boolean {
  if (after === null) return false
  const workflow = table.columns.findIndex((column) => column.name === 'workflow_uid')
  const direction = table.columns.findIndex((column) => column.name === 'direction')
  for (let row = 0; row < length; row++) {
    if (after.cell(row, workflow)?.toString() === workflowUid && after.cell(row, direction)?.toString() === oppositeDirection) return true
  }
  return false
}
