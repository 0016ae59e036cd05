/**
 * The demonstration's ledger: what the application meant to do, written before it sends anything, and what it was told,
 * written after. It lies outside the database, so the final check needs to believe nobody.
 *
 * A row is known by `op`: the number of the operation that inserted it; rows that were there before have `-log_id`.
 * One operation may touch several rows (a transaction): they come true together or not at all.
 */
import { closeSync, openSync, readFileSync, writeSync } from 'node:fs'

export type Effect =
  | { readonly kind: 'insert'; readonly op: number; readonly user: number; readonly reps: number }
  | { readonly kind: 'update'; readonly op: number; readonly version: number; readonly reps: number }
  | { readonly kind: 'delete'; readonly op: number }

export type Outcome = 'ok' | 'failed' | 'unknown'

type IntentLine = { readonly i: number; readonly e: readonly Effect[] }
type OutcomeLine = { readonly o: number; readonly r: Outcome }

export class LedgerWriter {
  readonly #file: number

  constructor(path: string) {
    this.#file = openSync(path, 'a')
  }

  intent(id: number, effects: readonly Effect[]): void {
    writeSync(this.#file, `${JSON.stringify({ i: id, e: effects } satisfies IntentLine)}\n`)
  }

  outcome(id: number, outcome: Outcome): void {
    writeSync(this.#file, `${JSON.stringify({ o: id, r: outcome } satisfies OutcomeLine)}\n`)
  }

  close(): void {
    closeSync(this.#file)
  }
}

/** What a row may look like now. Several possibilities only where an outcome is unknown. */
export type RowState = { readonly user: number; readonly version: number; readonly reps: number } | null

export type Expectation = {
  /** By `op`: every state that would be right; null means absent. */
  readonly rows: Map<number, RowState[]>
  readonly acknowledged: number
  readonly unknown: number
  readonly failed: number
}

/**
 * Replays a ledger. The application works on a row with one operation at a time, so effects on one row come in order; an
 * unknown outcome leaves both possibilities until a later acknowledged effect on the row tells (it names the version).
 */
export function replayLedger(path: string, before: Iterable<readonly [op: number, state: NonNullable<RowState>]>): Expectation {
  const rows = new Map<number, RowState[]>()
  for (const [op, state] of before) rows.set(op, [state])
  const intents = new Map<number, readonly Effect[]>()
  const counts = { ok: 0, failed: 0, unknown: 0 }
  const settle = (effects: readonly Effect[], outcome: Outcome): void => {
    counts[outcome]++
    if (outcome === 'failed') return
    for (const effect of effects) {
      const now = rows.get(effect.op) ?? [null]
      const after = now.map((state) => apply(state, effect)).filter((state) => state !== undefined)
      rows.set(effect.op, outcome === 'ok' ? distinct(after) : distinct([...now, ...after]))
    }
  }
  for (const line of readFileSync(path, 'utf8').split('\n')) {
    if (line === '') continue
    const entry = JSON.parse(line) as IntentLine | OutcomeLine
    if ('i' in entry) {
      intents.set(entry.i, entry.e)
      continue
    }
    const effects = intents.get(entry.o)
    if (effects === undefined) continue
    intents.delete(entry.o)
    settle(effects, entry.r)
  }
  // Intents without an outcome: the application itself was stopped in between.
  for (const effects of intents.values()) settle(effects, 'unknown')
  return { rows, acknowledged: counts.ok, unknown: counts.unknown, failed: counts.failed }
}

/** The state after an effect; undefined when the effect can't follow on this state. */
function apply(state: RowState, effect: Effect): RowState | undefined {
  switch (effect.kind) {
    case 'insert':
      return state === null ? { user: effect.user, version: 0, reps: effect.reps } : undefined
    case 'update':
      return state !== null && state.version + 1 === effect.version ? { ...state, version: effect.version, reps: effect.reps } : undefined
    case 'delete':
      return state === null ? undefined : null
  }
}

function distinct(states: RowState[]): RowState[] {
  const seen = new Map(states.map((state) => [JSON.stringify(state), state]))
  return [...seen.values()]
}
