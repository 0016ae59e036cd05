/**
 * For how long it is still possible to go back, from what is really there: without end while the old fleet runs; once it is stopped, as long as
 * the topic still holds the offset at which each old shard stands, and the old data is there. What ends first is named.
 */
import { openTopic } from '../topic/open.ts'
import type { Topic } from '../topic/topic.ts'
import type { WorkflowRecord } from '../workflow/records.ts'
import { BranchPositions, fleetsOf } from './branch-positions.ts'
import { branchShards } from './branches.ts'
import { bytesLeftMs } from './dualwrite-headroom.ts'
import { reportFreshMs } from './dualwrite-figures.ts'
import { fleetReports } from './fleets.ts'
import { dataOf, stateOf } from './dualwrite-spec.ts'
import type { DualWriteWorld } from './dualwrite-world.ts'
import { recordBytes } from './topic-facts.ts'

/** How finely the instant at which records expire is told, as a part of the retention. */
const expiryParts = 1024

export type Horizon = {
  readonly atMs: number
  /** `open`: no end; `until`: at `untilMs`; `passed`: there is no way back; `unknown`. */
  readonly kind: 'open' | 'until' | 'passed' | 'unknown'
  readonly untilMs: number | null
  readonly because: string
}

export async function horizonOf(world: Pick<DualWriteWorld, 'store' | 'clock'>, run: WorkflowRecord): Promise<Horizon> {
  const atMs = world.clock.nowMs()
  const say = (kind: Horizon['kind'], untilMs: number | null, because: string): Horizon => ({ atMs, kind, untilMs, because })
  if (stateOf(run) === 'decommissioned') return say('passed', null, 'the old side’s data is gone')
  try {
    const fleets = await fleetsOf(world.store, run.keyspace, 'main')
    if (fleets.length === 0) return say('passed', null, 'the old fleet is gone')
    if (fleets.every((fleet) => fleet.wanted !== 'stopped')) {
      for (const fleet of fleets) {
        const live = (await fleetReports(world, fleet.name)).some((report) => atMs - report.atMs < reportFreshMs)
        if (!live) return say('unknown', null, `${fleet.name} is to run, and none of its consumers says that it does`)
      }
      return say('open', null, 'the old fleet runs')
    }
    const shards = await branchShards(world, run.keyspace, 'main')
    await using positions = new BranchPositions(world.store, shards, fleets)
    const { at, unreadable } = await positions.read()
    if (unreadable.length > 0) return say('unknown', null, `the old shards ${unreadable.join(', ')} do not answer`)
    const topics: HorizonTopic[] = []
    for (const fleet of fleets) {
      const topic = await openTopic(fleet.topicUrl)
      try {
        const { ms, bytes } = await topic.retention()
        const ends = await topic.endOffsets()
        const partitions = [...(await topic.startOffsets())].flatMap(([partition, start]) => {
          const nexts = [...at.values()].flatMap((vector) => vector.get(`${fleet.topicId}/${partition}`) ?? [])
          if (nexts.length === 0) return []
          return [{ partition, start, end: ends.get(partition) ?? start, least: nexts.reduce((a, b) => (a < b ? a : b)) }]
        })
        const least = new Map(partitions.map((one) => [one.partition, one.least]))
        topics.push({
          url: fleet.topicUrl,
          ms,
          bytes,
          recordBytes: bytes === null ? null : await recordBytes(topic, ends),
          keptUntilMs: ms === null ? null : await keptUntil(topic, Number(ms), least, atMs),
          partitions,
        })
      } finally {
        await topic.close()
      }
    }
    // Of another time when it is not `complete` that stopped it: somebody did, or a rollback took that back.
    const { removeAtMs, heldSinceMs } = stateOf(run) === 'holding' ? dataOf(run) : {}
    return firstEnd({ atMs, removeAtMs, stoppedAtMs: heldSinceMs, topics })
  } catch (error) {
    return say('unknown', null, error instanceof Error ? error.message : String(error))
  }
}

/**
 * Until when retention by time leaves what stands at these offsets and after them, at least: the broker is asked which instants have their first record there or before,
 * since it goes by the records' own times. An old side that was behind when it stopped has less left than one that was not.
 */
export async function keptUntil(
  topic: Pick<Topic, 'offsetsAt'>,
  retentionMs: number,
  least: ReadonlyMap<number, bigint>,
  nowMs: number,
): Promise<number> {
  // Instants of one grid, so that the answer stands still while time passes.
  const stepMs = Math.max(1, Math.ceil(retentionMs / expiryParts))
  const newestMs = Math.floor(nowMs / stepMs) * stepMs
  const holds = async (back: number): Promise<boolean> => {
    const first = await topic.offsetsAt(newestMs - back * stepMs)
    return [...least].every(([partition, offset]) => (first.get(partition) ?? 0n) <= offset)
  }
  // The fewest steps back that hold; one that does not within the retention is as good as gone.
  let [low, high] = [0, Math.ceil(retentionMs / stepMs)]
  while (low < high) {
    const middle = Math.floor((low + high) / 2)
    if (await holds(middle)) high = middle
    else low = middle + 1
  }
  return newestMs - low * stepMs + retentionMs
}

export type HorizonTopic = {
  readonly url: string
  readonly ms: bigint | null
  readonly bytes: bigint | null
  readonly recordBytes: number | null
  /** By `keptUntil`; null: the topic does not remove by time. */
  readonly keptUntilMs: number | null
  /** `least`: where the slowest of the old shards stands. */
  readonly partitions: readonly { readonly partition: number; readonly start: bigint; readonly end: bigint; readonly least: bigint }[]
}

/** Pure: of a stopped old fleet, what ends the way back first. */
export function firstEnd(given: {
  readonly atMs: number
  readonly removeAtMs: number | undefined
  readonly stoppedAtMs: number | undefined
  readonly topics: readonly HorizonTopic[]
}): Horizon {
  const { atMs, removeAtMs, stoppedAtMs, topics } = given
  const say = (kind: Horizon['kind'], untilMs: number | null, because: string): Horizon => ({ atMs, kind, untilMs, because })
  const ends: { untilMs: number; because: string }[] = []
  if (removeAtMs !== undefined) ends.push({ untilMs: removeAtMs, because: 'the old data is removed then' })
  let growthUnknown = false
  for (const { url, ms, bytes, recordBytes: size, keptUntilMs, partitions } of topics) {
    for (const { partition, start, end, least } of partitions) {
      if (least < start)
        return say('passed', null, `topic ${url} partition ${partition} begins at ${start}, and the old side stands at ${least}`)
      if (bytes === null) continue
      if (stoppedAtMs === undefined || atMs <= stoppedAtMs) {
        growthUnknown = true
        continue
      }
      // What lies behind its position has come since it was stopped.
      const perSecond = (Number(end - least) / (atMs - stoppedAtMs)) * 1000
      const left = bytesLeftMs({ limit: bytes, recordBytes: size ?? 0, perSecond, start, end, next: least })
      if (left !== null)
        ends.push({
          untilMs: atMs + left.leftMs,
          because: `topic ${url} keeps ${bytes} bytes a partition: as it grows, the old side’s next records are gone then`,
        })
    }
    if (keptUntilMs !== null)
      ends.push({ untilMs: keptUntilMs, because: `topic ${url} keeps ${ms} ms: then the old side’s next records are gone` })
  }
  const first = ends.toSorted((a, b) => a.untilMs - b.untilMs)[0]
  if (first !== undefined && first.untilMs <= atMs) return say('passed', first.untilMs, first.because)
  if (growthUnknown || (first === undefined && topics.some((topic) => topic.bytes !== null)))
    return say('unknown', null, 'the topic removes by size, and how it has grown since the old fleet stopped is not known yet')
  if (first === undefined) return say('open', null, 'the old fleet is stopped, and the topic keeps everything')
  return say('until', first.untilMs, first.because)
}
