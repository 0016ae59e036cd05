/** Small values that many tests of rounds are made of. */
import type { StreamRecord } from '../../topology/records.ts'
import type { Stamp } from '../pending.ts'

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

/** As `planTable` takes it. */
export function intColumn(name: string) {
  return { name, dataType: 'int', columnType: 'int', charset: null, collation: null, nullable: false, generated: false }
}

/** A stream that does on its targets what its source's tables are altered by. */
export function execOf(record: StreamRecord): StreamRecord {
  return { ...record, options: { ...record.options, onDdl: 'exec' } }
}
