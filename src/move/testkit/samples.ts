/** Small values that many tests of rounds are made of. */
import type { ColumnDefinition } from '../../binlog/source.ts'
import type { StreamRecord } from '../../topology/records.ts'
import type { Stamp } from '../pending.ts'
import { planTable, type TablePlan, type TablePlanInput } from '../table-plan.ts'

/** A place in the tail, by default the first marker. */
export function stampOf(given: Partial<Stamp> = {}): Stamp {
  return {
    ordinal: 1,
    end: null,
    position: '',
    marker: 1,
    groups: 0,
    controlMarker: 0,
    markerAtMs: null,
    committedAtMs: null,
    rowChanges: 0,
    ...given,
  }
}

/** NOT NULL unless more is said. */
export function columnOf(name: string, dataType: string, more: Partial<ColumnDefinition> = {}): ColumnDefinition {
  return { name, dataType, columnType: dataType, charset: null, collation: null, nullable: false, generated: false, ...more }
}

export function intColumn(name: string): ColumnDefinition {
  return columnOf(name, 'int')
}

/** Of a table `s.t`, sharded by nothing unless said. */
export function planOf(definitions: readonly ColumnDefinition[], key: readonly string[], more: Partial<TablePlanInput> = {}): TablePlan {
  return planTable({
    schema: 's',
    name: 't',
    reference: false,
    definitions,
    key,
    vindex: null,
    vindexColumns: [],
    toUtf8: () => null,
    ...more,
  })
}

/** A stream that does on its targets what its source's tables are altered by. */
export function execOf(record: StreamRecord): StreamRecord {
  return { ...record, options: { ...record.options, onDdl: 'exec' } }
}
