/**
 * What the tail brings again after a run that ended in the midst of a round. A round in several transactions stores first where it goes to (its intent), and how large it is: what lies between the position
 * stored and there may stand on the target in part, and is done again, whole. That is one round at most, and this counts whether it is. Where rows are held back (PROTOCOLS 1.6) the position stays behind several
 * rounds: then it may be more, and shows.
 */
import type { StreamReport } from '../topology/records.ts'
import { compareCoordinates, type Coordinate, type RoundSize } from './tables.ts'
import type { AddressedChange } from './xa.ts'

/** A target that an earlier run left in the midst of a round. */
export type BrokenOff = { readonly target: number; readonly goingTo: Coordinate; readonly round: RoundSize }

/** A group that has been read to its end. */
export type ReadGroup = {
  readonly at: Coordinate
  readonly changes: readonly AddressedChange[]
  /** It was given out in parts already. */
  readonly inParts: boolean
  readonly rowChanges: number
  /** Whether a target has it from an earlier run. */
  readonly has: (target: number) => boolean
}

export class Redone {
  readonly #targets: (BrokenOff & { transactions: number; rowChanges: number })[]
  readonly #onOver: () => void
  #over: boolean

  /** @param onOver once, when all that earlier runs had begun is behind */
  constructor(brokenOff: readonly BrokenOff[], onOver: () => void) {
    this.#targets = brokenOff.map((one) => ({ ...one, transactions: 0, rowChanges: 0 }))
    this.#onOver = onOver
    this.#over = brokenOff.length === 0
  }

  note({ at, changes, inParts, rowChanges, has }: ReadGroup): void {
    if (this.#over) return
    this.#over = true
    for (const one of this.#targets) {
      const order = compareCoordinates(at, one.goingTo)
      if (order < 0) this.#over = false
      // What has nothing for it was not done there.
      if (order > 0 || has(one.target) || !(inParts || changes.some(({ target }) => target === one.target))) continue
      one.transactions++
      one.rowChanges += rowChanges
    }
    if (this.#over) this.#onOver()
  }

  /** Of the target with the most of it. */
  get most(): { readonly transactions: number; readonly rowChanges: number; readonly round: RoundSize | null } {
    const [most] = this.#targets.toSorted((a, b) => b.transactions - a.transactions || b.round.transactions - a.round.transactions)
    return most ?? { transactions: 0, rowChanges: 0, round: null }
  }
}

type Resumed = NonNullable<StreamReport['resumed']>

/** With what the run that goes on, or has just ended, does again. */
export function withRedone(resumed: Resumed, redone: Redone | null): Resumed {
  if (redone === null) return resumed
  const { transactions, rowChanges, round } = redone.most
  return {
    ...resumed,
    transactionsRedone: resumed.transactionsRedone + transactions,
    changesRedone: (resumed.changesRedone ?? 0) + rowChanges,
    round: together(resumed.round ?? null, round),
  }
}

function together(a: RoundSize | null, b: RoundSize | null): RoundSize | null {
  if (a === null || b === null) return a ?? b
  return { transactions: a.transactions + b.transactions, changes: a.changes === null || b.changes === null ? null : a.changes + b.changes }
}
