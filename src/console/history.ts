/** The last minutes of client traffic, kept by the page itself: a sample for each status, null where no gate could tell. */
import type { KeyspaceView, StatusView } from '../api/schemas.ts'

export type Sample = {
  readonly atMs: number
  readonly statementsPerSecond: number | null
  readonly errorsPerSecond: number | null
  readonly slowestWriteMs: number | null
  /** Since the page is open. */
  readonly errorsSeen: number
  /** Traffic of some keyspace was switched since the sample before, or is being switched. */
  readonly switched: boolean
  readonly gatesUnknown: number
}

export type History = {
  readonly samples: readonly Sample[]
  readonly errors: ReadonlyMap<string, number>
  /** What served each keyspace: a switch shorter than the time between two samples shows by nothing else. */
  readonly serving: ReadonlyMap<string, string>
}

export const windowMs = 180_000
/** Without news for longer than this, a line from the sample before to the next would tell of what nobody saw. */
const gapMs = 3000
export const emptyHistory: History = { samples: [], errors: new Map(), serving: new Map() }

export function withStatus(history: History, status: StatusView): History {
  const fresh = status.gates.filter((gate) => gate.fresh)
  const last = history.samples.at(-1)
  const known = fresh.length > 0
  const errors = new Map(fresh.map((gate) => [gate.id, gate.errors]))
  // A gate seen for the first time is a base line: its errors of before the page was opened have no place in time.
  const newErrors = fresh.reduce((total, gate) => total + Math.max(0, gate.errors - (history.errors.get(gate.id) ?? gate.errors)), 0)
  const seconds = last === undefined ? 0 : (status.nowMs - last.atMs) / 1000
  const serving = new Map(status.keyspaces.map((keyspace) => [keyspace.name, servingShards(keyspace)]))
  const changed = [...serving].some(([keyspace, shards]) => (history.serving.get(keyspace) ?? shards) !== shards)
  const moving = status.keyspaces.some((keyspace) =>
    keyspace.routing.components.some((c) => c.phase === 'switching' || c.phase === 'opening'),
  )
  const sample: Sample = {
    atMs: status.nowMs,
    statementsPerSecond: known ? sum(fresh.map((gate) => gate.statementsPerSecond)) : null,
    errorsPerSecond: known && seconds > 0 ? newErrors / seconds : null,
    slowestWriteMs: known ? Math.max(...fresh.map((gate) => gate.slowestWriteMs)) : null,
    errorsSeen: (last?.errorsSeen ?? 0) + newErrors,
    switched: moving || changed,
    gatesUnknown: status.gates.length - fresh.length,
  }
  const kept = history.samples.filter((one) => one.atMs < sample.atMs && one.atMs >= sample.atMs - windowMs)
  const gap = last !== undefined && sample.atMs - last.atMs > gapMs ? [unknownSample(last)] : []
  return { samples: [...kept, ...gap, sample], errors: new Map([...history.errors, ...errors]), serving }
}

function unknownSample(after: Sample): Sample {
  return { ...after, atMs: after.atMs + 1, statementsPerSecond: null, errorsPerSecond: null, slowestWriteMs: null, switched: false }
}

function servingShards(keyspace: KeyspaceView): string {
  const names = keyspace.routing.components.flatMap((component) => component.serving)
  return names.toSorted().join(' ')
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, n) => total + n, 0)
}
