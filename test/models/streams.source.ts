/** A source of the model of merges: its rows, and its binlog, which its stream reads (`streams.model.ts`). */
import { Wakeup } from '../../src/base/wakeup.ts'
import { compareCoordinates } from '../../src/move/tables.ts'
import { rowText, type ModelEvent, type ModelRow, type TestCoordinate } from './fake-target.ts'

export type Group = {
  readonly kind: 'rows' | 'marker' | 'statement'
  readonly events: readonly ModelEvent[]
  readonly inParts: boolean
  readonly at: TestCoordinate
  readonly atMs: number
}

export class ModelSource {
  readonly number: number
  readonly rows = new Map<number, ModelRow>()
  readonly log: Group[] = []
  readonly written = new Wakeup()
  readonly #nowMs: () => number
  readonly #say: (line: string) => void

  constructor(number: number, nowMs: () => number, say: (line: string) => void) {
    this.number = number
    this.#nowMs = nowMs
    this.#say = say
  }

  change(key: number, after: ModelRow | null): ModelEvent {
    const before = this.rows.get(key) ?? null
    if (after === null) this.rows.delete(key)
    else this.rows.set(key, after)
    return { key, before, after }
  }

  commit(events: readonly ModelEvent[], inParts: boolean): void {
    this.#append('rows', events, inParts)
  }

  /** DDL that leaves every value as it is: nothing behind it is read before all that stands before it is applied. */
  statement(): void {
    this.#append('statement', [], false)
  }

  marker(): number {
    const marker = this.last.marker + 1
    this.log.push({ kind: 'marker', events: [], inParts: false, at: { marker, groups: 0 }, atMs: this.#nowMs() })
    this.written.ring()
    return marker
  }

  get last(): TestCoordinate {
    return this.log.at(-1)?.at ?? { marker: 0, groups: 0 }
  }

  /** What it held at a place of its binlog. */
  stateAt(place: TestCoordinate): Map<number, ModelRow> {
    const rows = new Map<number, ModelRow>()
    for (const { at, events } of this.log) {
      if (compareCoordinates(at, place) > 0) break
      for (const { key, after } of events)
        if (after === null) rows.delete(key)
        else rows.set(key, after)
    }
    return rows
  }

  #append(kind: Group['kind'], events: readonly ModelEvent[], inParts: boolean): void {
    const { marker, groups } = this.last
    const at = { marker, groups: groups + 1 }
    this.log.push({ kind, events, inParts, at, atMs: this.#nowMs() })
    const shown = events.map(({ key, after }) => (after === null ? `-${key}` : rowText(after)))
    this.#say(
      `${this.#nowMs()} source ${this.number} at ${marker}/${groups + 1}: ${kind === 'statement' ? 'a statement' : shown.join(' ')}${inParts ? ' in parts' : ''}`,
    )
    this.written.ring()
  }
}
