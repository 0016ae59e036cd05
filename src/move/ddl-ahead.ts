/**
 * Whether a table was altered again between a statement that the tail has come to and now (PROTOCOLS 1.13).
 *
 * Rows behind the statement are read by the definition that it made. The source tells the one of now; that is the same unless another statement on the
 * table lies ahead in the binlog. So the definitions are read between two markers, and the binlog from the statement up to the second one is looked
 * through for statements on the table (no row of it is decoded):
 * - none: what was read is what the statement made;
 * - one before the first marker: it had been executed when the definitions were read, so what lies between the two is defined by neither;
 * - one behind the first marker: not known, looked at again.
 *
 * A stream that is hours behind has all these hours sent once: where statements on its tables stand is kept (`StatementsAhead`), and when it comes to the next one of them only what
 * was written since is looked through.
 */
import type { Clock } from '../base/clock.ts'
import { bumpControlMarker, chooseControlTable, controlSightings, readServerState } from '../binlog/control-schema.ts'
import type { Coordinates, Position, QueryEvent, Tail } from '../binlog/source.ts'
import { openTail, type TailOptions } from '../binlog/tail.ts'
import type { Connection, ConnectOptions } from '../mysql/connection.ts'
import type { Waiting } from './applier-options.ts'
import { judgeQuery } from './query-policy.ts'
import { identityText } from './source-start.ts'
import { tablesNow, type TablesNow } from './tables-now.ts'

export type DdlAheadOptions = {
  meta: Connection
  connect: ConnectOptions
  clock: Clock
  signal: AbortSignal
  schema: string
  /** Names of all tables that are moved. */
  moved: ReadonlySet<string>
  table: string
  /** Before the statement's group. */
  position: Position
  /** The statement's own place. */
  at: Coordinates
  /** Of earlier statements of the stream too. */
  ahead: StatementsAhead
  onWaiting: (waiting: Waiting | null) => void
}

export type Defined = TablesNow & {
  /** The next statement on the table, if the definitions are of after it. */
  readonly ahead: { readonly statement: string; readonly at: Coordinates } | null
}

/** What the source says of its tables, and whether that is what the statement made of `table`. */
export async function definedNow(options: DdlAheadOptions): Promise<Defined> {
  const { meta, schema, table, ahead, clock, onWaiting } = options
  const server = identityText(await readServerState(meta))
  const sinceMs = clock.nowMs()
  let told = false
  const onReading = ({ file, offset }: Coordinates): void => {
    told = true
    onWaiting({
      what: `the source's binlog behind DDL on ${schema}.${table} (${options.at.file}:${options.at.offset}), which is looked through for other statements on the moved tables: ${file}:${offset} by now`,
      sinceMs,
      ends: 'its end is reached; at the next statement only what was written since is looked through',
      reason: 'ddl',
    })
  }
  try {
    for (;;) {
      options.signal.throwIfAborted()
      const before = await bumpControlMarker(meta)
      const now = await tablesNow(meta, schema)
      const statements = await ahead.behind({ ...options, server, until: await bumpControlMarker(meta), onReading })
      const found = statements.filter(({ tables }) => tables.includes(table))
      if (found.some(({ passed }) => passed >= before)) continue
      return { ...now, ahead: found[0] ?? null }
    }
  } finally {
    if (told) onWaiting(null)
  }
}

export type StatementAhead = {
  readonly statement: string
  readonly at: Coordinates
  /** Moved tables that it is about. */
  readonly tables: readonly string[]
  /** The last control marker before it. */
  readonly passed: number
}

export type LookOptions = Pick<DdlAheadOptions, 'connect' | 'clock' | 'signal' | 'schema' | 'moved' | 'position' | 'at'> & {
  /** What tells the source from another server: places in its files are its own. */
  readonly server: string
  /** A control marker that is committed: the end of the look. */
  readonly until: number
  /** Told each second of a look that takes longer. */
  readonly onReading: (at: Coordinates) => void
}

/** More are not kept. */
const keptMax = 10_000
const tellEveryMs = 1_000

/** Where statements on the moved tables stand in the source's binlog, from the one that the tail has come to on. */
export class StatementsAhead {
  readonly #open: (options: TailOptions) => Promise<Tail>
  #kept: { readonly server: string; readonly statements: StatementAhead[]; readonly to: Position; readonly passed: number } | null = null

  constructor(open: (options: TailOptions) => Promise<Tail> = openTail) {
    this.#open = open
  }

  /** All that stand behind the statement at `at` and before the marker. */
  async behind(options: LookOptions): Promise<readonly StatementAhead[]> {
    const { server, at, position } = options
    const kept = this.#kept
    // Where what was looked through can't be gone on from, the next look begins anew.
    this.#kept = null
    const known = kept?.server === server ? kept.statements.findIndex((one) => isAt(one, at)) : -1
    const goesOn = kept !== null && known >= 0
    const statements = goesOn ? kept.statements.slice(known) : []
    const end = await this.#read(options, goesOn ? kept : { to: position, passed: 0 }, statements)
    if (statements.length <= keptMax) this.#kept = { server, statements, ...end }
    return statements.filter((one) => !isAt(one, at))
  }

  /** Adds to `statements` what it finds. */
  async #read(
    { connect, clock, signal, schema, moved, until, onReading }: LookOptions,
    from: { readonly to: Position; readonly passed: number },
    statements: StatementAhead[],
  ): Promise<{ readonly to: Position; readonly passed: number }> {
    let { passed } = from
    let toldMs = clock.monotonicMs()
    await using tail = await this.#open({
      connect,
      position: from.to,
      table: (of, name) => (name === 'control_marker' ? chooseControlTable(of, name) : null) ?? { kind: 'skip' },
      clock,
      signal,
    })
    for (;;) {
      const event = tail.tryNext() ?? (await tail.next())
      if (event.kind === 'rows') for (const seen of controlSightings(event)) if (seen.kind === 'controlMarker') passed = seen.number
      if (event.kind === 'query') {
        const tables = concerned(event, schema, moved)
        if (tables.length > 0) statements.push({ statement: event.text.toString('utf8').slice(0, 200), at: event.at, tables, passed })
      }
      if ('position' in event && passed >= until) return { to: event.position, passed }
      if ((event.kind === 'begin' || event.kind === 'heartbeat') && clock.monotonicMs() - toldMs >= tellEveryMs) {
        toldMs = clock.monotonicMs()
        onReading(event.at)
      }
    }
  }
}

function isAt(one: StatementAhead, { file, offset }: Coordinates): boolean {
  return one.at.file === file && one.at.offset === offset
}

function concerned(event: QueryEvent, schema: string, moved: ReadonlySet<string>): string[] {
  const isDdl = (tables: ReadonlySet<string>): boolean => judgeQuery(event, [], schema, tables).kind === 'ddl'
  return isDdl(moved) ? [...moved].filter((table) => isDdl(new Set([table]))) : []
}
