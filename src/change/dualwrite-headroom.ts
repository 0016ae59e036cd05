/**
 * How long the new fleet may still take before retention reaches what it has yet to read. Retention by time goes by the records' own times, so the broker
 * tells: an offset at or past the first record of the last 9/10 of the retention has a tenth of it left at least, however young the topic is.
 * Retention by bytes may remove earlier: once it has removed something, the part of what is held that lies before the slowest shard's position is the
 * bound as well. A topic that is limited by bytes alone is judged by how it grows, measured from one look to the next. When little is left the lease on the retention is renewed where that is allowed, and it is said.
 */
import type { FleetReport } from '../topology/dualwrite-records.ts'
import { keys } from '../topology/keys.ts'
import { listRecords } from '../topology/typed.ts'
import { openTopic } from '../topic/open.ts'
import type { WorkflowRecord } from '../workflow/records.ts'
import { fleetsOf } from './branch-positions.ts'
import { changeRun } from './dualwrite-record.ts'
import type { Desk } from './dualwrite-record.ts'
import { renew } from './dualwrite-retention.ts'
import { recordBytes } from './topic-facts.ts'
import { dataOf, specOf } from './dualwrite-spec.ts'
import type { DualWriteData } from './dualwrite-spec.ts'
import type { DualWriteWorld } from './dualwrite-world.ts'

/** Of the retention: less than this is little. */
const lowShare = 0.1

/** A broker that was away, or did not allow it yet. */
const askAgainMs = 60_000

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

/**
 * Pure: time left where bytes alone limit, and the time that the limit holds. Before the first removal there is room as well. Null: it does not grow, so nothing is removed.
 */
export function bytesLeftMs(given: {
  readonly limit: bigint
  readonly recordBytes: number
  readonly perSecond: number
  readonly start: bigint
  readonly end: bigint
  readonly next: bigint
}): { readonly leftMs: number; readonly windowMs: number } | null {
  const { limit, recordBytes, perSecond, start, end, next } = given
  if (next < start) return { leftMs: 0, windowMs: 0 }
  if (perSecond <= 0 || recordBytes <= 0) return null
  const held = Number(end - start)
  // What a record takes beyond its key and value is not known; once something was removed, what is held is the limit.
  const fits = start > 0n ? held : Math.max(held, Number(limit) / recordBytes)
  return { leftMs: Math.round(((fits - held + Number(next - start)) / perSecond) * 1000), windowMs: Math.round((fits / perSecond) * 1000) }
}

/** Ends of a topic at the look before, by its address: how it grows is what has come since. */
export type TopicLooks = Map<string, { readonly atMs: number; readonly ends: ReadonlyMap<number, bigint> }>

type Low = { readonly url: string; readonly fewMs: number; readonly ms: bigint | null; readonly from: 'topic' | 'default' }

export async function keepHeadroom(
  world: DualWriteWorld,
  desk: Desk,
  run: WorkflowRecord,
  looks: TopicLooks = new Map(),
  renewing: typeof renew = renew,
): Promise<void> {
  const nowMs = world.clock.nowMs()
  let least: NonNullable<DualWriteData['headroom']> | null = null
  let lowTopic: Low | null = null
  for (const fleet of await fleetsOf(world.store, run.keyspace, specOf(run).toBranch)) {
    const reports = (await listRecords<FleetReport>(world.store, keys.fleetReportsOf(fleet.name))).map((record) => record.value)
    const topic = await openTopic(fleet.topicUrl)
    try {
      const { ms, bytes, msFrom } = await topic.retention()
      if (ms === null && bytes === null) continue
      const firsts: ReadonlyMap<number, bigint>[] = []
      for (const share of ms === null ? [] : askedShares) firsts.push(await topic.offsetsAt(Math.floor(nowMs - (1 - share) * Number(ms))))
      const [starts, ends] = [await topic.startOffsets(), await topic.endOffsets()]
      const before = looks.get(fleet.topicUrl)
      looks.set(fleet.topicUrl, { atMs: nowMs, ends })
      const size = ms === null ? await recordBytes(topic, ends) : null
      for (const one of reports.flatMap((report) => report.partitions)) {
        const nexts = Object.values(one.next).map(BigInt)
        const [start, end] = [starts.get(one.partition), ends.get(one.partition)]
        if (nexts.length === 0 || start === undefined || end === undefined) continue
        const next = nexts.reduce((a, b) => (a < b ? a : b))
        const time =
          ms !== null
            ? {
                leftMs: timeLeftMs({
                  retentionMs: Number(ms),
                  limitedByBytes: bytes !== null,
                  start,
                  end,
                  next,
                  firstOf: firsts.map((first) => first.get(one.partition) ?? end),
                }),
                windowMs: Number(ms),
              }
            : before === undefined || nowMs <= before.atMs || bytes === null
              ? null
              : bytesLeftMs({
                  limit: bytes,
                  recordBytes: size ?? 0,
                  perSecond: (Number(end - (before.ends.get(one.partition) ?? end)) / (nowMs - before.atMs)) * 1000,
                  start,
                  end,
                  next,
                })
        if (time === null || (least !== null && least.leftMs <= time.leftMs)) continue
        const fewMs = time.windowMs * lowShare
        const low = time.leftMs < fewMs || next < start
        least = { atMs: nowMs, leftMs: time.leftMs, fleet: fleet.name, partition: one.partition, low }
        lowTopic = low ? { url: fleet.topicUrl, fewMs, ms, from: msFrom } : null
      }
    } finally {
      await topic.close()
    }
  }
  const headroom = least
  if (headroom === null) return
  const before = dataOf(run).headroom
  // Told once, and what the broker refused is asked again now and then.
  const { refusedAtMs } = before ?? {}
  const due = before?.low !== true || (refusedAtMs !== undefined && nowMs - refusedAtMs >= askAgainMs)
  if (!headroom.low || !due || lowTopic === null) {
    const kept = headroom.low && refusedAtMs !== undefined ? { ...headroom, refusedAtMs } : headroom
    await changeRun(desk, run, () => ({ data: { headroom: kept } }))
    return
  }
  const { ms, url, from, fewMs } = lowTopic as Low
  const where = `${headroom.fleet} partition ${headroom.partition}`
  const asks = ms !== null && specOf(run).raiseRetention
  const raised = asks ? await renewing(desk, run, { url, ms, from }) : null
  const now = asks && raised === null ? { ...headroom, refusedAtMs: nowMs } : headroom
  const setting = ms === null ? 'retention.bytes' : 'retention.ms'
  const again = before?.low === true && raised === null
  await changeRun(desk, run, () => ({
    data: { headroom: now },
    ...(again
      ? {}
      : {
          journal: `retention reaches what ${where} has yet to read in less than ${Math.round(Math.max(headroom.leftMs, fewMs))} ms${raised === null ? `: raise ${setting}, or give the fleet more consumers` : `; ${raised}`}`,
        }),
  }))
}
