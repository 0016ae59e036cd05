/** For tests against servers: open a tail, write a marker, gather what comes up to it. */
import { systemClock } from '../../base/clock.ts'
import { connect } from '../../mysql/connect.ts'
import type { Connection, ConnectOptions, RawRow } from '../../mysql/connection.ts'
import { bumpControlMarker, chooseControlTable, controlSightings } from '../control-schema.ts'
import { readTableDefinitions } from '../table-definitions.ts'
import { openTail, type TailOptions } from '../tail.ts'
import type { Position, TableChooser, Tail, TailEvent } from '../source.ts'

/** A session as the copy path has it: bytes as they are, UTC, every date allowed. */
export function copySession(config: ConnectOptions): Promise<Connection> {
  return connect({
    ...config,
    charset: 'binary',
    sessionSql: ["SET time_zone='+00:00', sql_mode='NO_AUTO_VALUE_ON_ZERO,ALLOW_INVALID_DATES'"],
  })
}

/** Decodes the tables of `schema` by the definitions that the server has now, and our own. */
export async function chooserOf(connection: Connection, schema: string): Promise<TableChooser> {
  const tables = await readTableDefinitions(connection, schema)
  return (wantedSchema, name) => {
    const columns = wantedSchema === schema ? tables.get(name) : undefined
    return chooseControlTable(wantedSchema, name) ?? (columns === undefined ? { kind: 'skip' } : { kind: 'decode', columns })
  }
}

export function tailOf(config: ConnectOptions, position: Position, table: TableChooser, more: Partial<TailOptions> = {}): Promise<Tail> {
  return openTail({ connect: config, position, table, clock: systemClock, heartbeatMs: 1_000, ...more })
}

/** Everything up to and including the group of a control marker that is written now. */
export async function eventsUntilNow(tail: Tail, connection: Connection): Promise<TailEvent[]> {
  const marker = await bumpControlMarker(connection)
  const events: TailEvent[] = []
  let seen = false
  for (;;) {
    const event = tail.tryNext() ?? (await tail.next())
    events.push(event)
    if (event.kind === 'rows')
      seen ||= controlSightings(event).some((sighting) => sighting.kind === 'controlMarker' && sighting.number === marker)
    if (seen && event.kind === 'commit') return events
  }
}

export type FlatChange = { table: string; change: string; before: RawRow | null; after: RawRow | null }

export function flatten(events: readonly TailEvent[], schema: string): FlatChange[] {
  const changes: FlatChange[] = []
  for (const event of events) {
    if (event.kind !== 'rows' || event.table.schema !== schema) continue
    for (let row = 0; row < event.length; row++) {
      changes.push({
        table: event.table.name,
        change: event.change,
        before: event.before?.row(row) ?? null,
        after: event.after?.row(row) ?? null,
      })
    }
  }
  return changes
}
