/**
 * Events of a group behind its first SAVEPOINT, kept until the group ends or goes back: MariaDB logs rows that a ROLLBACK TO took back, and that statement behind them, of a
 * transaction that made or dropped a temporary table (it keeps its whole cache then). Pure. Groups without savepoints pass straight through.
 *
 * Statements in place of rows are never cut: who is given one stops.
 */
import type { Buffer } from 'node:buffer'
import type { TailEvent } from './source.ts'

/** A savepoint costs no more memory than this; of a larger group the first part is given out, and can't be taken back. */
const heldBytesMax = 4 << 20

export class Savepoints {
  /** By name, in the order in which they were set: how many rows events of the group came before. */
  #marks = new Map<string, number>()
  #held: { readonly event: TailEvent; readonly rowsBefore: number }[] = []
  #heldBytes = 0
  #rows = 0
  #rowsGiven = 0
  readonly #out: TailEvent[] = []

  /** Whether rows of this group stand in the binlog. */
  get rowsSeen(): boolean {
    return this.#rows > 0
  }

  next(): TailEvent | undefined {
    return this.#out.shift()
  }

  /** Gives the event back if nothing has to come before it. */
  take(event: TailEvent): TailEvent | undefined {
    const isRows = event.kind === 'rows'
    const rowsBefore = this.#rows
    if (isRows) this.#rows++
    if (this.#marks.size > 0 && (isRows || event.kind === 'query')) {
      this.#held.push({ event, rowsBefore })
      this.#heldBytes += isRows ? event.bytes : event.text.length
      if (this.#heldBytes > heldBytesMax) this.#give()
      return undefined
    }
    if (this.#held.length === 0 && this.#out.length === 0) {
      if (isRows) this.#rowsGiven = this.#rows
      return event
    }
    this.#give()
    this.#out.push(event)
    return undefined
  }

  set(name: string): void {
    // Of two with one name the older is gone.
    this.#marks.delete(name)
    this.#marks.set(name, this.#rows)
  }

  /** False: rows that it takes back have been given out. */
  back(name: string): boolean {
    const mark = this.#marks.get(name)
    if (mark === undefined) return this.#rows === 0
    if (this.#rowsGiven > mark) return false
    for (const later of [...this.#marks.keys()].reverse()) {
      if (later === name) break
      this.#marks.delete(later)
    }
    this.#held = this.#held.filter(({ event, rowsBefore }) => event.kind !== 'rows' || rowsBefore < mark)
    this.#rows = mark
    return true
  }

  /** For the next group. What is held of this one is given out; its rows only if they `stand`. */
  end(rows: 'stand' | 'forgotten'): void {
    if (rows === 'forgotten') this.#held = this.#held.filter(({ event }) => event.kind !== 'rows')
    this.#give()
    this.#marks.clear()
    this.#rows = 0
    this.#rowsGiven = 0
  }

  #give(): void {
    this.#out.push(...this.#held.map(({ event }) => event))
    this.#held = []
    this.#heldBytes = 0
    this.#rowsGiven = this.#rows
  }
}

/** The name in `SAVEPOINT …` or `ROLLBACK TO …`, alike for names that the server takes for one; '' for RELEASE. */
export function savepointName(text: Buffer): string {
  const match = /^\s*(?:SAVEPOINT|ROLLBACK(?:\s+WORK)?\s+TO(?:\s+SAVEPOINT)?)\s*([`"]?)(.*?)\1\s*;?\s*$/is.exec(text.toString('utf8'))
  return (match?.[2] ?? '').toLowerCase()
}
