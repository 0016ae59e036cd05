/** What consumers and gates report, put together: lag, rates, p95 and errors by branch. Stale or missing is unknown, never zero (promise 6). */
import type { FleetRecord, FleetReport, GateReads } from '../topology/dualwrite-records.ts'

/**
 * A report stands under its consumer's lease: one of a consumer that is gone is gone within the lease. One that is there is written once a second by a
 * consumer that lives; on a busy machine it takes longer, and what it said last is known until a lease's length has passed.
 */
export const reportFreshMs = 10_000

/** Records between the slowest shard of each partition and its end, over all fleets; null: a partition has no fresh figure. */
export function lagOf(fleets: readonly FleetRecord[], reports: readonly FleetReport[], nowMs: number): bigint | null {
  let lag = 0n
  for (const fleet of fleets) {
    // The newest first: a partition that went from one consumer to another stands in both reports for a moment.
    const own = reports
      .filter((report) => report.fleet === fleet.name && report.generation === fleet.generation && nowMs - report.atMs < reportFreshMs)
      .toSorted((a, b) => b.atMs - a.atMs)
    for (const partition of Object.keys(fleet.startOffsets)) {
      const told = own.flatMap((report) => report.partitions).find((one) => one.partition === Number(partition) && one.lag !== null)
      if (told === undefined || told.lag === null) return null
      lag += BigInt(told.lag)
    }
  }
  return fleets.length === 0 ? null : lag
}

export function endsOf(reports: readonly FleetReport[]): bigint {
  let sum = 0n
  const seen = new Set<string>()
  for (const report of reports)
    for (const one of report.partitions) {
      const key = `${report.fleet}/${one.partition}`
      if (one.highWatermark === null || seen.has(key)) continue
      seen.add(key)
      sum += BigInt(one.highWatermark)
    }
  return sum
}

/** For so long a fleet may say nothing: a consumer that died is begun again in less. */
const silentMs = 15_000

/** Since when fleets that should work say nothing; kept by whoever looks again and again. */
export type Silence = Map<string, number>

/**
 * A partition that stopped, a consumer that failed, a fleet that was stopped or that nobody works for any more: readers of its branch would be left ever
 * further behind. Trouble that passes by itself is in a report's own error only.
 */
export function fleetTrouble(
  fleets: readonly FleetRecord[],
  reports: readonly FleetReport[],
  silence: Silence,
  nowMs: number,
): string | null {
  for (const fleet of fleets) {
    if (fleet.wanted === 'stopped') return `${fleet.name} is stopped`
    const told = reports.some(
      (report) => report.fleet === fleet.name && report.generation === fleet.generation && nowMs - report.atMs < reportFreshMs,
    )
    if (told) silence.delete(fleet.name)
    else if (!silence.has(fleet.name)) silence.set(fleet.name, nowMs)
    const sinceMs = silence.get(fleet.name)
    if (sinceMs !== undefined && nowMs - sinceMs >= silentMs)
      return `no consumer of ${fleet.name} has said anything for ${Math.round((nowMs - sinceMs) / 1000)} s`
  }
  for (const report of reports) {
    if (!fleets.some((fleet) => fleet.name === report.fleet)) continue
    const error = report.partitions.find((one) => one.error !== null)?.error ?? (report.state === 'failed' ? report.error : null)
    if (error !== null) return `${report.fleet}: ${error.code} ${error.what}`
    // A report of a consumer that has gone says nothing of now.
    const cutOff =
      nowMs - report.atMs < reportFreshMs ? report.partitions.find(({ topicSilentMs = 0 }) => topicSilentMs >= silentMs) : undefined
    if (cutOff !== undefined)
      return `${report.fleet}: the topic has not answered for partition ${cutOff.partition} for ${Math.round((cutOff.topicSilentMs ?? 0) / 1000)} s, how far behind it is, nobody knows`
  }
  return null
}

export type BranchFigures = { readonly reads: number; readonly errors: number; readonly p95Ms: number }

/** Of one second. */
export type ReadSecond = { readonly old: BranchFigures; readonly new: BranchFigures }

/** Over all gates whose figures are fresh; a gate's p95 counts by its reads. */
export function readsOf(records: readonly GateReads[], branchKeyspace: string, nowMs: number): BranchFigures {
  let reads = 0
  let errors = 0
  let weighted = 0
  for (const record of records) {
    const figures = record.branches[branchKeyspace]
    if (figures === undefined || nowMs - record.atMs > 2500) continue
    reads += figures.reads
    errors += figures.errors
    weighted += figures.p95Ms * figures.reads
  }
  return { reads, errors, p95Ms: reads === 0 ? 0 : weighted / reads }
}

export type Budget = {
  readonly baselineP95Ms: number | null
  readonly p95TimesMost: number
  readonly p95FloorMs: number
  readonly errorsMost: number
}

/** So many seconds are kept: behind a slow branch clients wait, so the slower it is the fewer reads a second tell. */
export const secondsMax = 15
const judgedReadsLeast = 9
/** Of the old branch in one second, for its p95 to say something. */
export const oldReadsLeast = 5

/** So few are no share of anything. */
const errorsLeast = 3
/** A branch that fails all at once is seen by the newest seconds, one that fails now and then by all that are kept. */
const errorSeconds = [3, secondsMax] as const

/** Errors that the old branch has of as many reads in the same seconds are no fault of the new one: clients, or what both stand on. Pure. */
function tooManyErrors(seconds: readonly ReadSecond[], errorsMost: number): string | null {
  for (const kept of errorSeconds) {
    const some = seconds.slice(-kept)
    const sum = (of: (one: ReadSecond) => number): number => some.reduce((total, one) => total + of(one), 0)
    const [reads, errors] = [sum((one) => one.new.reads), sum((one) => one.new.errors)]
    const [oldReads, oldErrors] = [sum((one) => one.old.reads), sum((one) => one.old.errors)]
    const oldShare = oldErrors < errorsLeast ? 0 : oldErrors / Math.max(1, oldReads)
    if (errors < errorsLeast || errors / Math.max(1, reads) <= errorsMost + oldShare) continue
    const beside = oldReads === 0 ? '' : `; ${oldErrors} of ${oldReads} on the old one`
    return `${errors} of ${reads} reads on the new branch failed within ${some.length} s (${errorsMost * 100} % at most${beside})`
  }
  return null
}

/**
 * Over the last seconds of the new branch. Null: within budget, or too few reads to say. Pure.
 *
 * The new branch is held against what the old one took before anything moved, and against what it takes in the same second where that is more: what slows both
 * (a machine or a network that they share, a burst of clients) is no fault of the new one, and stepping back would not mend it.
 */
export function overBudget(seconds: readonly ReadSecond[], budget: Budget): string | null {
  const failing = tooManyErrors(seconds, budget.errorsMost)
  if (failing !== null) return failing
  const { baselineP95Ms } = budget
  const mostOf = ({ old }: ReadSecond): number | null => {
    const now = old.reads >= oldReadsLeast ? old.p95Ms : null
    if (baselineP95Ms === null && now === null) return null
    return Math.max(budget.p95FloorMs, budget.p95TimesMost * Math.max(baselineP95Ms ?? 0, now ?? 0))
  }
  // The newest three with reads, or as many as it takes to have enough reads.
  const judged: ReadSecond[] = []
  let judgedReads = 0
  for (const one of seconds.toReversed()) {
    const most = mostOf(one)
    if (one.new.reads === 0 || most === null) continue
    if (one.new.p95Ms <= most) return null
    judged.push(one)
    judgedReads += one.new.reads
    if (judged.length >= 3 && judgedReads >= judgedReadsLeast) break
  }
  const [last] = judged
  if (last === undefined || judged.length < 3 || judgedReads < judgedReadsLeast) return null
  const now = last.old.reads >= oldReadsLeast ? [`${last.old.p95Ms.toFixed(1)} ms now`] : []
  const before = baselineP95Ms === null ? [] : [`${baselineP95Ms.toFixed(1)} ms before`]
  return `p95 of reads on the new branch is ${last.new.p95Ms.toFixed(1)} ms; ${mostOf(last)?.toFixed(1)} ms at most (on the old one ${[...now, ...before].join(', ')})`
}

export const noReads: BranchFigures = { reads: 0, errors: 0, p95Ms: 0 }

/**
 * The old branch's seconds, for what its reads take: one with enough reads says it by itself, others are put together until there are enough, however long that takes; of so
 * few the slowest stands for p95. `p95Ms` null: not enough yet. Pure.
 */
export function gathered(open: BranchFigures, second: BranchFigures): { readonly open: BranchFigures; readonly p95Ms: number | null } {
  if (second.reads === 0) return { open, p95Ms: null }
  if (second.reads >= oldReadsLeast) return { open, p95Ms: second.p95Ms }
  const both = { reads: open.reads + second.reads, errors: 0, p95Ms: Math.max(open.p95Ms, second.p95Ms) }
  return both.reads < oldReadsLeast ? { open: both, p95Ms: null } : { open: noReads, p95Ms: both.p95Ms }
}

export function median(values: readonly number[]): number | null {
  if (values.length === 0) return null
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.floor(sorted.length / 2)] ?? null
}
