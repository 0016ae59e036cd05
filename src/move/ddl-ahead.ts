/**
 * Whether a table was altered again between a statement that the tail has come to and now (PROTOCOLS 1.13).
 *
 * Rows behind the statement are read by the definition that it made. The source tells the one of now; that is the same unless another statement on the
 * table lies ahead in the binlog. So the definitions are read between two markers, and the binlog from the statement up to the second one is looked
 * through for statements on the table (no row of it is decoded):
 * - none: what was read is what the statement made;
 * - one before the first marker: it had been executed when the definitions were read, so what lies between the two is defined by neither;
 * - one behind the first marker: not known, looked at again.
 */
import type { Clock } from '../base/clock.ts'
import { bumpControlMarker, chooseControlTable, controlSightings } from '../binlog/control-schema.ts'
import type { Coordinates, Position, QueryEvent } from '../binlog/source.ts'
import { openTail } from '../binlog/tail.ts'
import type { Connection, ConnectOptions } from '../mysql/connection.ts'
import { judgeQuery } from './query-policy.ts'
import { tablesNow, type TablesNow } from './tables-now.ts'

export type DdlAheadOptions = {
  meta: Connection
  connect: ConnectOptions
  clock: Clock
  signal: AbortSignal
  schema: string
  table: string
  /** Before the statement's group. */
  position: Position
  /** The statement's own place. */
  at: Coordinates
}

export type Defined = TablesNow & {
  /** The next statement on the table, if the definitions are of after it. */
  readonly ahead: { readonly statement: string; readonly at: Coordinates } | null
}

/** What the source says of its tables, and whether that is what the statement made of `table`. */
export async function definedNow(options: DdlAheadOptions): Promise<Defined> {
  const { meta, schema } = options
  for (;;) {
    options.signal.throwIfAborted()
    const before = await bumpControlMarker(meta)
    const now = await tablesNow(meta, schema)
    const found = await statementsAhead(options, before, await bumpControlMarker(meta))
    if (found.some(({ unknown }) => unknown)) continue
    return { ...now, ahead: found[0] ?? null }
  }
}

type Ahead = { statement: string; at: Coordinates; unknown: boolean }

async function statementsAhead(options: DdlAheadOptions, before: number, until: number): Promise<Ahead[]> {
  const { connect, position, clock, signal } = options
  const found: Ahead[] = []
  await using tail = await openTail({
    connect,
    position,
    table: (schema, name) => (name === 'control_marker' ? chooseControlTable(schema, name) : null) ?? { kind: 'skip' },
    clock,
    signal,
  })
  for (let passed = 0; passed < until;) {
    const event = tail.tryNext() ?? (await tail.next())
    if (event.kind === 'rows') for (const seen of controlSightings(event)) if (seen.kind === 'controlMarker') passed = seen.number
    if (event.kind !== 'query' || !concerns(event, options)) continue
    found.push({ statement: event.text.toString('utf8').slice(0, 200), at: event.at, unknown: passed >= before })
  }
  return found
}

function concerns(event: QueryEvent, { schema, table, at }: DdlAheadOptions): boolean {
  if (event.at.file === at.file && event.at.offset === at.offset) return false
  return judgeQuery(event, [], schema, new Set([table])).kind === 'ddl'
}
