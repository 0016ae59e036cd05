import type { FleetPartitionReport, FleetReport } from '../topology/dualwrite-records.ts'
import type { FleetSession } from './fleet-session.ts'
import type { HeldPartition } from './held-partition.ts'

/** Trouble that lasts is told for so long after it was last met. */
const troubleMs = 3_000
/** A topic that can be reached says how a partition stands each second; what it said longer ago is no figure of now (promise 6). */
const knownMs = 10_000

/** Totals since the process started; the writer of reports fills in what is per second. */
export function reportOf(session: FleetSession): FleetReport {
  const { options, fleet, held } = session
  const totals = { statements: 0, rowsIn: 0, rowsOut: 0, lateRows: 0, openMs: 0 }
  for (const { statistics } of session.lanes.flat()) {
    totals.statements += statistics.statements
    totals.rowsIn += statistics.rowsIn
    totals.rowsOut += statistics.rowsOut
    totals.lateRows += statistics.lateRows
    totals.openMs += statistics.openMs
  }
  const now = options.clock.nowMs()
  const stopped = [...held.values()].find(({ error }) => error !== null)?.error ?? null
  return {
    v: 1,
    fleet: fleet.name,
    consumer: options.id,
    pid: options.pid,
    generation: fleet.generation,
    atMs: now,
    state: stateOf(session),
    partitions: [...held.values()].sort((a, b) => a.partition - b.partition).map((partition) => partitionReport(session, partition)),
    records: session.records,
    statements: totals.statements,
    rowsIn: totals.rowsIn,
    rowsOut: totals.rowsOut,
    openMs: Math.round(totals.openMs),
    recordsPerSecond: 0,
    rowsPerSecond: 0,
    ...(session.expiry === null || !held.has(0) ? {} : { expiry: session.expiry }),
    poison: session.poison,
    late: totals.lateRows,
    rssBytes: options.rssBytes(),
    error: stopped ?? (session.trouble !== null && now - session.trouble.atMs < troubleMs ? session.trouble.error : null),
  }
}

/** Held: it does nothing to its shards any more; at a vector: it writes nothing past it. */
function stateOf({ fleet, standing, purging }: FleetSession): FleetReport['state'] {
  if (fleet.wanted === 'stopped') return 'stopped'
  if (!standing) return 'running'
  return (fleet.wanted === 'held' && !purging) || (fleet.wanted === 'running' && fleet.holdAt !== null) ? 'held' : 'running'
}

function partitionReport(session: FleetSession, held: HeldPartition): FleetPartitionReport {
  const next: { [shard: string]: string } = {}
  let least: bigint | null = null
  for (const [shard, { name }] of session.branch.shards.entries()) {
    const at = session.laneOf(shard, held.partition).next(held.partition)
    if (at === null) continue
    next[name] = String(at)
    if (least === null || at < least) least = at
  }
  const standing = held.state === 'running' && session.standing
  const silentMs = session.topicSilentMs(held.partition)
  const end = silentMs > knownMs ? null : held.highWatermark
  return {
    partition: held.partition,
    state: standing ? 'held' : held.state,
    next,
    logStart: held.logStart === null ? null : String(held.logStart),
    highWatermark: held.highWatermark === null ? null : String(held.highWatermark),
    lag: end === null || least === null ? null : String(end > least ? end - least : 0n),
    ...(silentMs > knownMs ? { topicSilentMs: silentMs } : {}),
    newestMs: held.newestMs,
    error: held.error,
  }
}
