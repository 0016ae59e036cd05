/**
 * Why a way fits or does not: the decision table of PROTOCOLS 5 as conditions, each with the row it stands for and what to do. A condition
 * that rests on something unknown is `lacks`: it neither blocks nor clears.
 */
import { calculate, holds } from './amount.ts'
import type { Amount, FactName, PlanInput } from './figures.ts'
import { applyShareMost, binlogRetentionNeeded, headroomLeast, rateForDeadline } from './formulas.ts'
import { fillingWay, pinDepth, readyOf, replicateReady } from './ready.ts'
import type { Reason, Way } from './result.ts'
import { bytesText, day, durationText, rateText, retentionText, round } from './text.ts'

/** Two sets of shards for longer than this are borderline, for longer than the second wrong (PROTOCOLS 5: at 90 days, at a year). */
export const readyGoodSeconds = 30 * day
export const readyBorderlineSeconds = 180 * day
/** Undo for longer than this speaks for keeping a fleet. */
const undoLongSeconds = 30 * day

export function reasonsFor(input: PlanInput, way: Way): Reason[] {
  const common = [...headroom(input), ...disks(input, way)]
  return way === 'replicate' ? [...replicateReasons(input), ...common] : [...topicReasons(input, way), ...common]
}

const blocks = (text: string, fix: string): Reason => ({ weight: 'blocks', text, fix })
const strains = (text: string, fix: string): Reason => ({ weight: 'strains', text, fix })
const lacks = (text: string, fix: string): Reason => ({ weight: 'lacks', text, fix })
const pro = (text: string): Reason => ({ weight: 'speaks for', text, fix: '' })
const contra = (text: string, fix = ''): Reason => ({ weight: 'speaks against', text, fix })

function headroom(input: PlanInput): Reason[] {
  const { eventsPerSecond: r, fleetEventsPerSecond: w } = input.figures
  const enough = holds([w.value, r.value], (most, now) => most >= headroomLeast * now)
  if (enough !== false) return []
  const ratio = calculate([w.value, r.value], (most, now) => most / now)
  return [
    blocks(
      `the new shards sustain ${typeof ratio === 'number' ? round(ratio) : ratio} × what producers write (w ${rateText(w.value)}, r ${rateText(r.value)}), less than ${headroomLeast}: neither way`,
      'capacity first: more target shards, or bigger ones',
    ),
  ]
}

function replicateReasons(input: PlanInput): Reason[] {
  const { figures: f, facts } = input
  const out: Reason[] = []
  const { lag, seconds } = replicateReady(input, f.sourceBytes.value)
  const [a, b] = [f.applyBytesPerSecond.value, f.binlogBytesPerSecond.value]
  const converges = holds([a, b], (apply, log) => log === 0 || apply > log)
  const calm = holds([a, b], (apply, log) => log <= applyShareMost * apply)
  if (converges === null) out.push(lacks('whether the targets apply faster than the sources log is not known', '--assume a=… b=…'))
  else if (!converges)
    out.push(
      blocks(
        `the targets apply ${bytesText(a)}/s and the sources log ${bytesText(b)}/s: the tail never drains`,
        'bigger targets, or dual-write',
      ),
    )
  else if (calm === false)
    out.push(
      strains(`b/a is above ${applyShareMost}: the tail drains slowly, and a burst undoes it`, 'dual-write, or bigger targets first'),
    )
  const needed = calculate([lag, f.outageBudgetSeconds.value], binlogRetentionNeeded)
  const kept = holds([f.binlogRetentionSeconds.value, needed], (rb, least) => rb >= least)
  if (kept === null) out.push(lacks('whether the binlogs reach far enough is not known', '--assume Rb=…'))
  else if (!kept)
    out.push(
      blocks(
        `the binlogs reach back ${durationText(f.binlogRetentionSeconds.value)}; 1.5 × (lag ${durationText(lag)} + outage ${durationText(f.outageBudgetSeconds.value)}) = ${durationText(needed)} is needed`,
        'raise binlog_expire_logs_seconds on the sources, or dual-write',
      ),
    )
  if (seconds === 'unknown') out.push(lacks('T_ready is not known', 'measure or assume S, Rr and Wt'))
  if (facts.pauseAllowed.value === false)
    out.push(blocks('no pause of writes at all can be afforded', 'dual-write: writes are already on both sides'))
  if (facts.productionMayFeelCopy.value === false)
    out.push(blocks('production must not feel the copy (one scan of each source, one more binlog reader)', 'dual-write'))
  if (facts.rebuilds.value === true)
    out.push(blocks('schema, hash, engine or version changes too', 'dual-write with new writer code, or MoveTables'))
  if (holds([f.undoSeconds.value], (undo) => undo > undoLongSeconds) === true)
    out.push(
      contra(
        `undo is wanted for ${durationText(f.undoSeconds.value)}: the targets' binlogs must last as long`,
        'dual-write keeps the fleet instead',
      ),
    )
  if (facts.readYourWrites.value === true) out.push(pro('reads see their own synchronous writes'))
  if (names(facts.neverExpires.value).length > 0)
    out.push(pro(`rows that never expire come along: ${list(names(facts.neverExpires.value))}`))
  if (writers(input).length > 0)
    out.push(
      pro(
        `writers besides the consumers are moved too: ${writers(input)
          .map((x) => x.who)
          .join(', ')}`,
      ),
    )
  out.push(pro('one set of extra shards for the copy only, no second fleet'))
  return out
}

function topicReasons(input: PlanInput, way: Exclude<Way, 'replicate'>): Reason[] {
  const { figures: f, facts } = input
  return [
    ...sourceOfRows(input, way),
    ...window(input, way),
    ...(facts.deterministic.value === false
      ? [blocks('the same messages do not give the same rows', 'make the writers deterministic, or replicate')]
      : facts.deterministic.value === 'unknown'
        ? [contra('that the same messages give the same rows is not shown yet', 'DualWrite create shows it by two scratch branches')]
        : []),
    ...(facts.readYourWrites.value === true ? [blocks('reads must see their own synchronous writes', 'replicate')] : []),
    ...named(input, 'crossDatabase', 'cross-database foreign keys or transactions', 'replicate'),
    ...(facts.twoClusters.value === false ? [blocks('two full sets of shards for T_ready + H cannot be afforded', 'replicate')] : []),
    ...(facts.pauseAllowed.value === false ? [pro('no write ever pauses')] : []),
    ...(facts.rebuilds.value === true ? [pro('the new fleet may write another schema, hash or engine')] : []),
    ...(holds([f.undoSeconds.value], (undo) => undo > undoLongSeconds) === true
      ? [pro(`the old fleet can run on, so going back stays possible for ${durationText(f.undoSeconds.value)}`)]
      : []),
    pro('production feels nothing but a second fetch of the topic'),
    contra('while it lasts: 2× consumers, 2× storage, 2× writes, 1× reads'),
  ]
}

/** Any writer besides the consumers, or rows that never expire: replicate, or hybrid. */
function sourceOfRows(input: PlanInput, way: Exclude<Way, 'replicate'>): Reason[] {
  const { facts } = input
  const out: Reason[] = []
  const dimensions = names(facts.dimensionTables.value)
  if (facts.topicTables.value === 'unknown')
    out.push(lacks('which tables the topic fills is not known', 'name the topic definition: --definition FILE, or create the fleet first'))
  else if (facts.topicTables.value.length === 0) out.push(blocks('no table is filled from a topic', 'replicate'))
  if (facts.otherWriters.value === 'unknown')
    out.push(
      lacks('whether anybody besides the consumers writes is not known', 'let the binlog be looked at, or --assume otherWriters=none'),
    )
  for (const writer of writers(input)) {
    const onlyDimensions = writer.tables.length > 0 && writer.tables.every((table) => dimensions.includes(table))
    if (way === 'hybrid' && onlyDimensions) continue
    out.push(
      blocks(
        `${writer.who} writes ${writer.tables.length === 0 ? 'here' : list(writer.tables)} besides the consumers`,
        onlyDimensions
          ? 'hybrid: those are dimension tables'
          : 'stop that writer, or replicate (hybrid where it writes dimension tables only)',
      ),
    )
  }
  out.push(
    ...named(
      input,
      'neverExpires',
      'rows that never expire and are no dimension',
      'give them a retention, declare them dimensions (hybrid), or replicate',
    ),
  )
  if (way === 'hybrid') {
    if (dimensions.length > 0) out.push(pro(`dimension tables are copied and kept in step: ${list(dimensions)}`))
    else if (facts.dimensionTables.value !== 'unknown')
      out.push(blocks('there is no dimension table to copy', `${fillingWay(input)} is the same without it`))
  } else if (dimensions.length > 0) {
    out.push(blocks(`dimension tables never expire and are not in the topic: ${list(dimensions)}`, 'hybrid'))
  }
  return out
}

/** How long the window takes to fill, by which the way stands or falls. */
function window(input: PlanInput, way: Exclude<Way, 'replicate'>): Reason[] {
  const f = input.figures
  const out: Reason[] = []
  const [rd, rk] = [f.storeRetentionSeconds.value, f.topicRetentionSeconds.value]
  if (rd === 'unbounded') return [blocks('rows never expire: the window never fills', 'replicate, or a retention first')]
  const ready = readyOf(input, way).seconds
  if (rd === 'unknown') out.push(lacks('how long rows live (Rd) is not known', '--definition FILE, or --assume Rd=8d'))
  const pins = way === 'pin' || way === 'pin+wait' || (way === 'hybrid' && fillingWay(input) !== 'wait')
  if (pins) out.push(...pinned(input, way, rd, rk))
  const good = holds([ready], (t) => t <= readyGoodSeconds)
  const borderline = holds([ready], (t) => t <= readyBorderlineSeconds)
  if (good === false && ready !== 'unbounded') {
    const text = `two full sets of shards for ${durationText(ready)} until it is ready, and ${durationText(f.holdSeconds.value)} after`
    out.push(borderline === true ? strains(text, 'replicate where it fits') : blocks(text, 'replicate'))
  }
  if (good === null && rd !== 'unknown') out.push(lacks('T_ready is not known', 'measure or assume Rk, r and w'))
  return out
}

function pinned(input: PlanInput, way: Way, rd: Amount, rk: Amount): Reason[] {
  const f = input.figures
  const out: Reason[] = []
  const depth = pinDepth(input)
  if (rk === 'unknown')
    out.push(lacks('how far the topic reaches back (Rk) is not known', 'name the topic: --definition FILE, or --assume Rk=3d'))
  const whole = holds([depth, rd], (back, all) => back >= all)
  if (way === 'pin' && whole === false)
    out.push(
      blocks(
        `the topic surely holds ${retentionText(rk)}, less than the rows' ${retentionText(rd)} and the margin: pinning alone does not fill the window`,
        `pin+wait; or raise the topic's retention to ${durationText(calculate([rd, f.marginSeconds.value], (all, m) => all + m))} and begin when it has grown`,
      ),
    )
  if (way === 'pin+wait' && whole === true) out.push(contra('nothing is left to wait for: this is pin'))
  if (way === 'pin+wait' && holds([rk, rd], (topic, rows) => topic < rows / 2) === true)
    out.push(contra(`the topic holds less than half of what rows live: wait is simpler and ${durationText(depth)} longer`))
  const [r, w] = [f.eventsPerSecond.value, f.fleetEventsPerSecond.value]
  const gains = holds([w, r], (most, now) => most > now || now === 0)
  if (gains === false) {
    const target = calculate([depth, r], (back, now) => rateForDeadline(back, now, back))
    out.push(
      blocks(
        `the fleet never catches up: w ${rateText(w)} is not above r ${rateText(r)}`,
        `w ≥ r(1 + depth/D): ${rateText(target)} to catch up in ${durationText(depth)}`,
      ),
    )
  }
  const safe = holds([f.marginSeconds.value, f.outageBudgetSeconds.value], (m, outage) => m >= outage)
  if (safe === false && rk !== 'unbounded')
    out.push(
      input.facts.retentionMayBeRaised.value === true
        ? contra('the margin is shorter than an outage: the topic’s retention is raised for the time, and put back')
        : strains(
            `the oldest pinned records leave the topic ${durationText(f.marginSeconds.value)} after the start; a longer outage of the fleet loses them`,
            'raise retention.ms for the time, or a greater margin: --assume m=…',
          ),
    )
  return out
}

function disks(input: PlanInput, way: Way): Reason[] {
  const f = input.figures
  const need = targetDiskBytes(input, way)
  const fits = holds([need, f.targetFreeBytes.value], (bytes, free) => bytes <= free)
  if (fits === null && f.targetFreeBytes.value === 'unknown')
    return [contra(`free disk of the targets is not known; ${bytesText(need)} are needed`, '--assume targetFree=…')]
  if (fits === false)
    return [blocks(`the targets need ${bytesText(need)} and have ${bytesText(f.targetFreeBytes.value)}`, 'bigger disks, or more targets')]
  return []
}

/** Replicate: S·(1 + bloat) and about S of binlog during the copy. Topic: the steady state, grown until the old side goes. */
export function targetDiskBytes(input: PlanInput, way: Way): Amount {
  const f = input.figures
  if (way === 'replicate') return calculate([f.sourceBytes.value, f.bloat.value], (s, bloat) => s * (1 + bloat) + s)
  const ready = readyOf(input, way).seconds
  const steady = calculate([f.steadyStateBytes.value, f.growthPerDay.value, ready, f.holdSeconds.value], (bytes, growth, t, hold) =>
    growth === 0 ? bytes : bytes * (1 + growth) ** ((t + hold) / day),
  )
  return way === 'hybrid' ? calculate([steady, f.dimensionBytes.value, f.bloat.value], (s, d, bloat) => s + d * (1 + bloat)) : steady
}

function named(input: PlanInput, fact: Extract<FactName, 'neverExpires' | 'crossDatabase'>, what: string, fix: string): Reason[] {
  const value = input.facts[fact].value
  if (value === 'unknown') return [lacks(`whether there are ${what} is not known`, `--assume ${fact}=none, or name them`)]
  return value.length === 0 ? [] : [blocks(`${what}: ${list(value)}`, fix)]
}

function names(value: readonly string[] | 'unknown'): readonly string[] {
  return value === 'unknown' ? [] : value
}

function writers(input: PlanInput): readonly { who: string; tables: readonly string[] }[] {
  const value = input.facts.otherWriters.value
  return value === 'unknown' ? [] : value
}

function list(items: readonly string[]): string {
  return items.length <= 6 ? items.join(', ') : `${items.slice(0, 6).join(', ')} and ${items.length - 6} more`
}
