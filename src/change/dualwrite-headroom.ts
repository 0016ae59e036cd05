/**
 * How long the new fleet may still take before retention reaches what it has yet to read. Retention by time goes by the records' own times, so the broker
 * tells: an offset at or past the first record of the last 9/10 of the retention has a tenth of it left at least, however young the topic is.
 * Retention by bytes may remove earlier: once it has removed something, the part of what is held that lies before the slowest shard's position is the
 * bound as well. When little is left the lease on the retention is renewed where that is allowed, and it is said.
 */
import type { FleetReport } from '../topology/dualwrite-records.ts'
import { keys } from '../topology/keys.ts'
import { listRecords } from '../topology/typed.ts'
import { openTopic } from '../topic/open.ts'
import type { WorkflowRecord } from '../workflow/records.ts'
import { fleetsOf } from './branch-positions.ts'
import { changeRun } from './dualwrite-record.ts'
import type { Desk } from './dualwrite-record.ts'
import { dataOf, specOf } from './dualwrite-spec.ts'
import type { DualWriteData, RetentionLease } from './dualwrite-spec.ts'
import type { DualWriteWorld } from './dualwrite-world.ts'

/** Of the retention: less than this is little. */
const lowShare = 0.1

/** Pure: time left, as the share of what is held that lies before `next`. */
export function leftMs(retentionMs: number, start: bigint, end: bigint, next: bigint): number {
  if (next <= start) return next < start ? 0 : end <= start ? retentionMs : 0
  if (end <= start) return retentionMs
  return Math.round((Number(next - start) / Number(end - start)) * retentionMs)
}

/** Shares of the retention for which the broker is asked, ascending. */
export const askedShares = [0, lowShare, 0.5, 1] as const

/** Pure: time left at least. `firstOf`: the first offset of each asked share, as old as it has that share left. */
export function timeLeftMs(given: {
  readonly retentionMs: number
  readonly limitedByBytes: boolean
  readonly start: bigint
  readonly end: bigint
  readonly next: bigint
  readonly firstOf: readonly bigint[]
}): number {
  const { retentionMs, limitedByBytes, start, end, next, firstOf } = given
  if (next < start) return 0
  const share = askedShares.findLast((_, i) => next >= (firstOf[i] ?? end)) ?? 0
  const byTime = Math.round(share * retentionMs)
  return limitedByBytes && start > 0n ? Math.min(byTime, leftMs(retentionMs, start, end, next)) : byTime
}

export async function keepHeadroom(world: DualWriteWorld, desk: Desk, run: WorkflowRecord): Promise<void> {
  const nowMs = world.clock.nowMs()
  let least: NonNullable<DualWriteData['headroom']> | null = null
  let lowTopic: { url: string; ms: bigint; from: 'topic' | 'default' } | null = null
  for (const fleet of await fleetsOf(world.store, run.keyspace, specOf(run).toBranch)) {
    const reports = (await listRecords<FleetReport>(world.store, keys.fleetReportsOf(fleet.name))).map((record) => record.value)
    const topic = await openTopic(fleet.topicUrl)
    try {
      const { ms, bytes, msFrom } = await topic.retention()
      if (ms === null) continue
      const firsts: ReadonlyMap<number, bigint>[] = []
      for (const share of askedShares) firsts.push(await topic.offsetsAt(Math.floor(nowMs - (1 - share) * Number(ms))))
      const [starts, ends] = [await topic.startOffsets(), await topic.endOffsets()]
      for (const one of reports.flatMap((report) => report.partitions)) {
        const nexts = Object.values(one.next).map(BigInt)
        const [start, end] = [starts.get(one.partition), ends.get(one.partition)]
        if (nexts.length === 0 || start === undefined || end === undefined) continue
        const left = timeLeftMs({
          retentionMs: Number(ms),
          limitedByBytes: bytes !== null,
          start,
          end,
          next: nexts.reduce((a, b) => (a < b ? a : b)),
          firstOf: firsts.map((first) => first.get(one.partition) ?? end),
        })
        if (least !== null && least.leftMs <= left) continue
        const low = left < Number(ms) * lowShare
        least = { atMs: nowMs, leftMs: left, fleet: fleet.name, partition: one.partition, low }
        lowTopic = low ? { url: fleet.topicUrl, ms, from: msFrom } : null
      }
    } finally {
      await topic.close()
    }
  }
  const headroom = least
  if (headroom === null) return
  const before = dataOf(run).headroom
  if (!headroom.low || before?.low === true || lowTopic === null) {
    await changeRun(desk, run, () => ({ data: { headroom } }))
    return
  }
  const where = `${headroom.fleet} partition ${headroom.partition}`
  const raised = specOf(run).raiseRetention ? await renew(desk, run, lowTopic) : null
  await changeRun(desk, run, () => ({
    data: { headroom },
    journal: `retention reaches what ${where} has yet to read in less than ${Math.round(Math.max(headroom.leftMs, Number(lowTopic?.ms ?? 0) * lowShare))} ms${raised === null ? ': raise retention.ms, or give the fleet more consumers' : `; ${raised}`}`,
  }))
}

async function renew(desk: Desk, run: WorkflowRecord, low: { url: string; ms: bigint; from: 'topic' | 'default' }): Promise<string | null> {
  const wanted = low.ms * 2n
  const leases = dataOf(run).retention ?? []
  const known = leases.find((one) => one.topicUrl === low.url)
  const lease: RetentionLease = {
    topicUrl: low.url,
    wasMs: known?.wasMs ?? String(low.ms),
    from: known?.from ?? low.from,
    raisedToMs: String(wanted),
  }
  await changeRun(desk, run, (now) => ({
    data: { retention: [...(dataOf(now).retention ?? []).filter((one) => one.topicUrl !== low.url), lease] },
  }))
  const topic = await openTopic(low.url)
  try {
    await topic.setRetentionMs(wanted)
    return `retention.ms of ${low.url} is raised to ${wanted}, and put back at the end`
  } catch {
    return null
  } finally {
    await topic.close()
  }
}
