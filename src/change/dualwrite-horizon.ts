/**
 * For how long it is still possible to go back, from what is really there: without end while the old fleet runs; once it is stopped, as long as
 * the topic still holds the offset at which each old shard stands, and the old data is there. What ends first is named.
 */
import { openTopic } from '../topic/open.ts'
import type { WorkflowRecord } from '../workflow/records.ts'
import { BranchPositions, fleetsOf } from './branch-positions.ts'
import { branchShards } from './branches.ts'
import { bytesLeftMs } from './dualwrite-headroom.ts'
import { reportFreshMs } from './dualwrite-figures.ts'
import { fleetReports } from './fleets.ts'
import { dataOf, stateOf } from './dualwrite-spec.ts'
import type { DualWriteWorld } from './dualwrite-world.ts'
import { recordBytes } from './topic-facts.ts'

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
        topics.push({ url: fleet.topicUrl, ms, bytes, recordBytes: bytes === null ? null : await recordBytes(topic, ends), partitions })
      } finally {
        await topic.close()
      }
    }
    const { removeAtMs, heldSinceMs } = dataOf(run)
    return firstEnd({ atMs, removeAtMs, stoppedAtMs: heldSinceMs, topics })
  } catch (error) {
    return say('unknown', null, error instanceof Error ? error.message : String(error))
  }
}

export type HorizonTopic = {
  readonly url: string
  readonly ms: bigint | null
  readonly bytes: bigint | null
  readonly recordBytes: number | null
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
  for (const { url, ms, bytes, recordBytes: size, partitions } of topics) {
    for (const { partition, start, end, least } of partitions) {
      if (least < start)
        return say('passed', null, `topic ${url} partition ${partition} begins at ${start}, and the old side stands at ${least}`)
      if (bytes === null || stoppedAtMs === undefined || atMs <= stoppedAtMs) continue
      // What lies behind its position has come since it was stopped.
      const perSecond = (Number(end - least) / (atMs - stoppedAtMs)) * 1000
      const left = bytesLeftMs({ limit: bytes, recordBytes: size ?? 0, perSecond, start, end, next: least })
      if (left !== null)
        ends.push({
          untilMs: atMs + left.leftMs,
          because: `topic ${url} keeps ${bytes} bytes a partition: as it grows, the old side’s next records are gone then`,
        })
    }
    if (ms !== null && stoppedAtMs !== undefined)
      ends.push({
        untilMs: stoppedAtMs + Number(ms),
        because: `topic ${url} keeps ${ms} ms: then the old side’s next records are gone`,
      })
  }
  const first = ends.toSorted((a, b) => a.untilMs - b.untilMs)[0]
  if (first === undefined && topics.some((topic) => topic.bytes !== null))
    return say('unknown', null, 'the topic removes by size, and how it has grown since the old fleet stopped is not known yet')
  if (first === undefined) return say('open', null, 'the old fleet is stopped, and the topic keeps everything')
  return first.untilMs <= atMs ? say('passed', first.untilMs, first.because) : say('until', first.untilMs, first.because)
}
