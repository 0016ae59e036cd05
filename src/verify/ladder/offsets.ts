/**
 * L0: of every topic partition and shard the ranges that were taken chain from the start offset to the position, and their sum is end − start.
 * `taken` is counted by the UPDATE that moves `next`, so a position that was moved otherwise (by hand, by a restore, by a second
 * authority) shows. The position may not pass the topic's end either: then the topic was truncated, or is another one. Nor may it lie below the topic's first offset:
 * what lies between is gone, and positions over offsets without rows advance long before the topic forgets them.
 */
import type { FleetRecord } from '../../topology/dualwrite-records.ts'
import type { LadderFinding } from './evidence.ts'
import { judged } from './judged.ts'
import type { Judged } from './judged.ts'
import { withSnapshots } from './snapshot.ts'
import type { ShardSnapshot } from './snapshot.ts'
import type { LadderWorld } from './world.ts'

export async function judgeOffsets(world: LadderWorld): Promise<Judged> {
  const starts = new Map<string, ReadonlyMap<number, bigint>>()
  const ids = new Map<string, string>()
  for (const { new: fleet } of world.pairs) {
    await using topic = await world.openTopic(fleet.topicUrl)
    starts.set(fleet.topicId, await topic.startOffsets())
    ids.set(fleet.topicId, topic.id)
  }
  const snapshots = await withSnapshots(world, async (found) => found)
  // After the snapshots: a position that was true then cannot be past an end read later.
  const ends = new Map<string, ReadonlyMap<number, bigint>>()
  for (const { new: fleet } of world.pairs) {
    await using topic = await world.openTopic(fleet.topicUrl)
    ends.set(fleet.topicId, await topic.endOffsets())
  }
  const findings: LadderFinding[] = []
  let offsets = 0n
  let lag = 0n
  let missing = 0
  let ranges = 0n
  for (const [shards, fleets] of [
    [snapshots.old, world.pairs.map((pair) => pair.old)],
    [snapshots.new, world.pairs.map((pair) => pair.new)],
  ] as const)
    for (const shard of shards)
      for (const fleet of fleets)
        for (const [partition, start] of Object.entries(fleet.startOffsets)) {
          const row = shard.positions.find((p) => p.topicId === fleet.topicId && p.partition === Number(partition))
          const where = `${shard.branch}/${shard.ref.shard}, ${fleet.topicId}/${partition}`
          const end = ends.get(fleet.topicId)?.get(Number(partition))
          const first = starts.get(fleet.topicId)?.get(Number(partition)) ?? 0n
          if (end === undefined) {
            findings.push({ what: 'the topic has no such partition', where, old: partition, new: 'missing' })
            continue
          }
          findings.push(...gone(row?.next ?? BigInt(start), first, where))
          if (row === undefined) {
            missing++
            lag += end - BigInt(start)
            continue
          }
          findings.push(...judgeRow(shard, fleet, row, end, where))
          offsets += row.taken
          ranges += row.ranges
          if (end > row.next) lag += end - row.next
        }
  for (const { new: fleet } of world.pairs)
    if (ids.get(fleet.topicId) !== fleet.topicId)
      findings.push({ what: 'the topic is another one', where: fleet.topicUrl, old: fleet.topicId, new: ids.get(fleet.topicId) ?? '' })
  const numbers = {
    offsets: String(offsets),
    ranges: String(ranges),
    lagOffsets: String(lag),
    positionsMissing: missing,
    findings: findings.length,
  }
  if (findings.length > 0)
    return judged('fail', `${findings.length} positions are not the sum of what was taken, or not where the topic is`, numbers, findings)
  if (missing > 0) return judged('unknown', `${missing} positions are not there yet: their fleet has not begun`, numbers)
  return judged(
    'pass',
    `${offsets} offsets in ${ranges} ranges chain, their sum is end − start on every shard; ${lag} are still to come`,
    numbers,
  )
}

/** `first`: of the topic, read before the position was. Pure. */
export function gone(next: bigint, first: bigint, where: string): LadderFinding[] {
  if (next >= first) return []
  return [{ what: 'stands below the first offset that the topic holds', where, old: String(first), new: String(next) }]
}

function judgeRow(
  _shard: ShardSnapshot,
  fleet: FleetRecord,
  row: ShardSnapshot['positions'][number],
  end: bigint,
  where: string,
): LadderFinding[] {
  const start = BigInt(fleet.startOffsets[String(row.partition)] ?? 0)
  const findings: LadderFinding[] = []
  if (row.start !== start) findings.push({ what: 'begins elsewhere than its fleet', where, old: String(start), new: String(row.start) })
  if (row.start + row.taken !== row.next)
    findings.push({ what: 'taken is not next − start', where, old: String(row.next - row.start), new: String(row.taken) })
  if (row.next > end) findings.push({ what: 'stands past the end of the topic', where, old: String(end), new: String(row.next) })
  return findings
}
