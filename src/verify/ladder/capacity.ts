/**
 * L6: what a branch sustains, by pause and drain on production's own records: the fleet is held for d seconds while producers write r a
 * second, then let go; if its backlog b = r·d is gone after T seconds it took b + r·T in T, so it sustains w = r + b/T = r·(1 + d/T). What it is ordinarily
 * behind may be left of b, and is taken off.
 *
 * The new branch is measured once more with a shard down: after the pause nothing is written to one of its shards, and the others have to drain
 * beside it. Records that wait for that shard take a consumer's memory, which is bounded; where the others do not get on, one shard's failure is the branch's.
 *
 * E = (w_new/w_old)/(N_new/N_old) is the scaling efficiency. The word `linear` is refused below 0.9; below 1.3 × r the branch has no headroom and
 * the rung fails.
 *
 * A drain's end is seen a second or two late: consumers report once a second, and a shard's position moves lazily over offsets that hold nothing for it. One
 * of less than ten seconds, which that would change by more than a tenth or two, says only that the branch sustains *at least* w; an efficiency is then a bound, or not known, and the way out is a longer pause.
 */
import { keys } from '../../topology/keys.ts'
import type { FleetRecord, FleetReport } from '../../topology/dualwrite-records.ts'
import { listRecords } from '../../topology/typed.ts'
import { judged } from './judged.ts'
import type { Judged } from './judged.ts'
import { pauseFleet, resumeFleets } from './pause.ts'
import { least, readApplied, short, topicEnds } from './positions.ts'
import type { BranchSide, LadderWorld } from './world.ts'

export const headroomLeast = 1.3
export const linearFrom = 0.9

/** Consumers report once a second; what they say of where shards stand only ever lags. */
const reportMs = 1500

/** Below this too much of a drain's time is that of the looking. */
export const tellableMs = 10_000

export type Drain =
  | {
      readonly ok: true
      readonly heldMs: number
      readonly drainedMs: number
      readonly r: number
      readonly w: number
      readonly backlog: bigint
    }
  | { readonly ok: false; readonly because: string; /** Let go, and not drained in time. */ readonly stalled?: true }

export async function judgeCapacity(world: LadderWorld): Promise<Judged> {
  const pairs = { new: world.pairs.map((pair) => pair.new), old: world.pairs.map((pair) => pair.old) }
  const fresh = await pauseAndDrain(world, world.new, pairs.new)
  if (!fresh.ok) return judged('unknown', `new branch: ${fresh.because}`)
  const [down] = world.new.shards.length < 2 ? [] : world.new.shards
  const without = down === undefined ? null : await pauseAndDrain(world, world.new, pairs.new, down.shard)
  // Last: meanwhile the new branch comes to rest.
  const old = await pauseAndDrain(world, world.old, pairs.old)
  const figures = judgeFigures(fresh, old, world.new.shards.length, world.old.shards.length)
  return down === undefined || without === null ? figures : withShardDown(figures, down.shard, without)
}

/** What failed without it stands; that the others stall beside a shard that is down fails, and what was not measured is not known (promise 6). */
export function withShardDown(figures: Judged, shard: string, drain: Drain): Judged {
  const numbers = { ...figures.numbers, shardDown: shard, eventsPerSecondWithShardDown: drain.ok ? round(drain.w) : null }
  if (drain.ok) return { ...figures, numbers, because: `${figures.because}; with ${shard} down the others sustain ${atLeast(drain)}` }
  return {
    ...figures,
    numbers,
    verdict: figures.verdict === 'fail' || drain.stalled === true ? 'fail' : 'unknown',
    because: `${figures.because}; with ${shard} down: ${drain.because}`,
  }
}

export function judgeFigures(fresh: Extract<Drain, { ok: true }>, old: Drain, shardsNew: number, shardsOld: number): Judged {
  const least = fresh.drainedMs < tellableMs
  const bounds = { lower: least, upper: old.ok && old.drainedMs < tellableMs }
  const efficiency = old.ok && !(bounds.lower && bounds.upper) ? fresh.w / old.w / (shardsNew / shardsOld) : null
  const headroom = fresh.w / fresh.r
  const word = efficiency === null ? 'not known' : wordFor(efficiency, bounds)
  const numbers = {
    eventsPerSecond: round(fresh.r),
    newEventsPerSecond: round(fresh.w),
    oldEventsPerSecond: old.ok ? round(old.w) : null,
    told: least ? 'at least' : 'measured',
    headroom: round(headroom),
    efficiency: efficiency === null ? null : round(efficiency),
    scaling: word,
    heldMs: Math.round(fresh.heldMs),
    drainedMs: Math.round(fresh.drainedMs),
    backlog: String(fresh.backlog),
    shardsNew,
    shardsOld,
  }
  const sign = bounds.lower ? '≥ ' : bounds.upper ? '≤ ' : ''
  const why = old.ok
    ? `both drained in less than the ${tellableMs / 1000} s that can be told; hold them longer: --pause`
    : `old branch: ${old.because}`
  const scaling =
    efficiency === null
      ? `scaling not known (${why})`
      : `efficiency ${sign}${round(efficiency)} over ${shardsOld} → ${shardsNew} shards: ${word}`
  const text = `held ${round(fresh.heldMs / 1000)} s, drained in ${round(fresh.drainedMs / 1000)} s at ${round(fresh.r)}/s: sustains ${atLeast(fresh)}, ${round(headroom)} × what is written; ${scaling}`
  if (headroom < headroomLeast && bounds.lower) return judged('unknown', `${text}; hold it for longer: --pause`, numbers)
  if (headroom < headroomLeast) return judged('fail', `${text}; less than ${headroomLeast} × is no headroom`, numbers)
  return judged('pass', text, numbers)
}

/** A bound says the word only where it reaches it. */
function wordFor(efficiency: number, { lower, upper }: { readonly lower: boolean; readonly upper: boolean }): string {
  if (efficiency >= linearFrom) return upper ? 'not known' : 'linear'
  return lower ? 'not known' : 'not linear'
}

function atLeast({ w, drainedMs }: { readonly w: number; readonly drainedMs: number }): string {
  return `${drainedMs < tellableMs ? 'at least ' : ''}${round(w)}/s`
}

const usualMs = 2_500

/** `down`: this shard is written again only when the others have drained. */
async function pauseAndDrain(world: LadderWorld, side: BranchSide, fleets: readonly FleetRecord[], down?: string): Promise<Drain> {
  const { clock, options } = world
  const lagNow = async (sinceMs: number): Promise<{ at: Map<string, bigint>; end: Map<string, bigint>; lag: bigint }> => {
    const applied = await readApplied(world, side, fleets, sinceMs)
    const at = least(new Map([...applied].filter(([shard]) => shard !== down)))
    const end = await topicEnds(world)
    return { at, end, lag: short(at, end) }
  }
  const before = await lagNow(clock.nowMs() - reportMs)
  const rSince = { atMs: clock.monotonicMs(), end: before.end }
  // What is told lags by a report, and positions without rows move once a second: one look may meet the moment after both.
  let usualLag = before.lag
  for (const endMs = clock.monotonicMs() + usualMs; clock.monotonicMs() < endMs;) {
    await clock.sleep(200, world.signal)
    const { lag } = await lagNow(clock.nowMs() - reportMs)
    if (lag > usualLag) usualLag = lag
  }
  let heldAtMs = 0
  let r = 0
  let backlog = 0n
  try {
    const askedMs = clock.nowMs()
    for (const fleet of fleets) await pauseFleet(world, fleet.name, { wanted: 'held' }, 'running')
    if (!(await untilHeld(world, fleets, askedMs)))
      return { ok: false, because: `its fleet did not stand still within ${options.alignMsMax} ms` }
    heldAtMs = clock.monotonicMs()
    await clock.sleep(options.holdMs, world.signal)
    const last = await lagNow(askedMs)
    backlog = last.lag
    r = grown(rSince.end, last.end) / ((clock.monotonicMs() - rSince.atMs) / 1000)
    if (r <= 0) return { ok: false, because: 'producers wrote nothing while the fleet was held' }
    if (backlog <= 0n) return { ok: false, because: 'no backlog grew while it was held' }
    // As far behind as it ordinarily is, between a fifth of a second and two. Beside a shard that stands still: one, since before it began nothing was ordinary.
    const ordinary = down === undefined ? Math.min(2 * r, Math.max(r / 5, Number(usualLag))) : r
    if (Number(backlog) <= 2 * ordinary)
      return { ok: false, because: `a backlog of ${backlog} is hardly more than what it is ordinarily behind; hold it for longer: --pause` }
    if (down === undefined) await resumeFleets(world, fleets)
    else for (const fleet of fleets) await pauseFleet(world, fleet.name, { wanted: 'running', heldShard: down })
    const releasedAtMs = clock.monotonicMs()
    const drainedMs = await untilDrained(world, async () => (await lagNow(clock.nowMs() - reportMs)).lag, BigInt(Math.ceil(ordinary)))
    const heldMs = releasedAtMs - heldAtMs
    if (down !== undefined) {
      // The branch is left as it was found: whoever judges next would find it behind.
      await resumeFleets(world, fleets)
      const whole = async (): Promise<bigint> =>
        short(least(await readApplied(world, side, fleets, clock.nowMs() - reportMs)), await topicEnds(world))
      await untilDrained(world, whole, BigInt(Math.ceil(r)))
    }
    if (drainedMs === null)
      return { ok: false, because: `its backlog of ${backlog} was not drained within ${options.drainMsMax} ms`, stalled: true }
    return { ok: true, heldMs, drainedMs, r, w: r + (Number(backlog) - ordinary) / (drainedMs / 1000), backlog }
  } finally {
    await resumeFleets(world, fleets)
  }
}

/** How long it took; null: not in time. */
async function untilDrained(world: LadderWorld, lag: () => Promise<bigint>, most: bigint): Promise<number | null> {
  const beganMs = world.clock.monotonicMs()
  for (;;) {
    world.signal.throwIfAborted()
    const now = await lag()
    const tookMs = world.clock.monotonicMs() - beganMs
    if (now <= most) return tookMs
    if (tookMs > world.options.drainMsMax) return null
    await world.clock.sleep(50, world.signal)
  }
}

async function untilHeld(world: LadderWorld, fleets: readonly FleetRecord[], sinceMs: number): Promise<boolean> {
  const endMs = world.clock.monotonicMs() + world.options.alignMsMax
  while (world.clock.monotonicMs() < endMs) {
    world.signal.throwIfAborted()
    const reports = (
      await Promise.all(fleets.map((fleet) => listRecords<FleetReport>(world.store, keys.fleetReportsOf(fleet.name))))
    ).flatMap((records) => records.map((record) => record.value))
    if (reports.length > 0 && reports.every((report) => report.state === 'stopped' || (report.state === 'held' && report.atMs >= sinceMs)))
      return true
    await world.clock.sleep(50, world.signal)
  }
  return false
}

function grown(before: ReadonlyMap<string, bigint>, after: ReadonlyMap<string, bigint>): number {
  let sum = 0n
  for (const [key, offset] of after) sum += offset - (before.get(key) ?? offset)
  return Number(sum)
}

function round(value: number): number {
  return Number(value >= 100 ? value.toFixed(0) : value.toFixed(2))
}
