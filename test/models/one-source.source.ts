/**
 * The source of the model of one source (`one-source.model.ts`): its rows, what of them is visible to a reader, and its binlog as the engine's tail gives it. A row may become visible later than its event (group commit), but
 * never after a marker that follows it was acknowledged.
 */
import { Wakeup } from '../../src/base/wakeup.ts'
import { positionText } from '../../src/binlog/position-text.ts'
import type { RowsEvent, Tail, TailEvent } from '../../src/binlog/source.ts'
import { SpannedRows } from '../../src/mysql/spanned-rows.ts'
import { compareCoordinates } from '../../src/move/tables.ts'
import { equated, rowText, type ModelEvent, type ModelRow, type TestCoordinate } from './fake-target.ts'

export const markerStream = 'one'

/** `torn`: it never happened. */
export type LoggedGroup = {
  readonly kind: 'rows' | 'torn' | 'marker' | 'statement'
  readonly events: readonly ModelEvent[]
  /** Where the source stands behind it. */
  readonly at: TestCoordinate
}

/** By what their keys are to the collation. */
export type ModelRows = Map<number, ModelRow>

export class LoggedSource {
  readonly rows: ModelRows = new Map()
  readonly visible: ModelRows = new Map()
  readonly log: LoggedGroup[] = []
  readonly written = new Wakeup()
  readonly #say: (line: string) => void
  #unseen: (readonly ModelEvent[])[] = []

  constructor(say: (line: string) => void) {
    this.#say = say
  }

  get last(): TestCoordinate {
    return this.log.at(-1)?.at ?? { marker: 0, groups: 0 }
  }

  /** A group that was torn by a crash, or rolled back: its rows stand in the binlog, and it comes again or does not. */
  torn(events: readonly ModelEvent[]): void {
    this.log.push({ kind: 'torn', events, at: this.last })
    this.written.ring()
  }

  commit(events: readonly ModelEvent[]): void {
    this.#append('rows', events)
    applyTo(this.rows, events)
    this.#unseen.push(events)
  }

  statement(): void {
    this.#append('statement', [])
  }

  marker(): number {
    const marker = this.last.marker + 1
    this.log.push({ kind: 'marker', events: [], at: { marker, groups: 0 } })
    this.makeVisible()
    this.written.ring()
    return marker
  }

  makeVisible(): void {
    for (const events of this.#unseen.splice(0)) applyTo(this.visible, events)
  }

  /** What it held at a place, and which keys came behind the place `since`. */
  stateAt(place: TestCoordinate, since: TestCoordinate): { readonly rows: ModelRows; readonly came: ReadonlySet<number> } {
    const rows: ModelRows = new Map()
    const came = new Set<number>()
    for (const { kind, at, events } of this.log) {
      if (compareCoordinates(at, place) > 0) break
      if (kind !== 'rows') continue
      applyTo(rows, events)
      if (compareCoordinates(at, since) > 0) for (const { key } of events) came.add(equated(key))
    }
    return { rows, came }
  }

  #append(kind: LoggedGroup['kind'], events: readonly ModelEvent[]): void {
    const { marker, groups } = this.last
    this.log.push({ kind, events, at: { marker, groups: groups + 1 } })
    const shown = events.map(({ key, after }) => (after === null ? `-${key}` : rowText(after)))
    this.#say(`source at ${marker}/${groups + 1}: ${kind === 'statement' ? 'a statement' : shown.join(' ')}`)
    this.written.ring()
  }
}

function applyTo(rows: ModelRows, events: readonly ModelEvent[]): void {
  for (const { key, after } of events)
    if (after === null) rows.delete(equated(key))
    else rows.set(equated(key), after)
}

/** The engine's tail, from a group on: an event is there when it is asked for, or comes a moment later. */
export class LoggedTail {
  readonly #source: LoggedSource
  readonly #pause: () => Promise<void>
  readonly #isHere: () => boolean
  /** Events of the group in hand. */
  #events: TailEvent[] = []
  /** Of the next group in the log. */
  next: number

  constructor(source: LoggedSource, from: number, isHere: () => boolean, pause: () => Promise<void>) {
    this.#source = source
    this.next = from
    this.#isHere = isHere
    this.#pause = pause
  }

  asTail(signal: AbortSignal): Tail {
    const next = async (): Promise<TailEvent> => {
      for (;;) {
        await this.#pause()
        const event = this.#take()
        if (event !== undefined) return event
        await this.#source.written.wait(signal)
      }
    }
    return { tryNext: () => (this.#isHere() ? this.#take() : undefined), next } as unknown as Tail
  }

  #take(): TailEvent | undefined {
    if (this.#events.length === 0) {
      const group = this.#source.log[this.next]
      if (group !== undefined) this.#events = eventsOf(group, this.next++)
    }
    return this.#events.shift()
  }
}

const columnsOf = (...names: string[]): RowsEvent['table']['columns'] => names.map((name) => ({ name })) as never
const moved: RowsEvent['table'] = { schema: 's', name: 'm', columns: columnsOf('k', 's', 'u', 'v') }
const markers: RowsEvent['table'] = { schema: '_shardwright', name: 'marker', columns: columnsOf('stream', 'kind', 'n') }

function eventsOf({ kind, events, at }: LoggedGroup, index: number): TailEvent[] {
  const place = { file: 'f', offset: index }
  const gtid = `0-1-${index + 1}`
  const ended = { position: positionText('mariadb', place, gtid), at: place, end: place } as const
  const begin = { kind: 'begin', gtid, serverId: 1, committedAtMs: 0, groupBytes: null, at: place } as const
  const end = { kind: kind === 'torn' ? 'abandon' : 'commit', ...ended } as TailEvent
  if (kind === 'marker') return [begin, rowsEvent(markers, null, batchOf([[markerStream, 'low', String(at.marker)]]), index), end]
  if (kind === 'statement') return [begin, { kind: 'query', text: Buffer.from(''), at: place } as unknown as TailEvent, end]
  return [begin, ...events.map(({ before, after }) => rowsEvent(moved, image(before), image(after), index)), end]
}

function rowsEvent(table: RowsEvent['table'], before: SpannedRows | null, after: SpannedRows | null, offset: number): RowsEvent {
  const change = before === null ? 'insert' : after === null ? 'delete' : 'update'
  return { kind: 'rows', table, change, length: 1, before, after, bytes: 1, engineCascades: false, at: { file: 'f', offset } }
}

function image(row: ModelRow | null): SpannedRows | null {
  return row === null ? null : batchOf([[row.key, row.shardKey, row.unique, row.value].map(String)])
}

export function batchOf(rows: readonly (readonly string[])[]): SpannedRows {
  const cells = rows.flat().map((text) => Buffer.from(text))
  let at = 0
  const spans = cells.flatMap(({ length }) => [at, (at += length)])
  return new SpannedRows(Buffer.concat(cells), Int32Array.from(spans), rows.length, rows[0]?.length ?? 0)
}
