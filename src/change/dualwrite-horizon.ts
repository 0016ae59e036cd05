/**
 * For how long it is still possible to go back, from what is really there: without end while the old fleet runs; once it is stopped, as long as
 * the topic still holds the offset at which each old shard stands, and the old data is there. What ends first is named.
 */
import { openTopic } from '../topic/open.ts'
import type { WorkflowRecord } from '../workflow/records.ts'
import { BranchPositions, fleetsOf } from './branch-positions.ts'
import { branchShards } from './branches.ts'
import { reportFreshMs } from './dualwrite-figures.ts'
import { fleetReports } from './fleets.ts'
import { dataOf, stateOf } from './dualwrite-spec.ts'
import type { DualWriteWorld } from './dualwrite-world.ts'

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
    const ends: { untilMs: number; because: string }[] = []
    const { removeAtMs } = dataOf(run)
    if (removeAtMs !== undefined) ends.push({ untilMs: removeAtMs, because: 'the old data is removed then' })
    for (const fleet of fleets) {
      const topic = await openTopic(fleet.topicUrl)
      try {
        const starts = await topic.startOffsets()
        const { ms } = await topic.retention()
        for (const [partition, start] of starts) {
          let least: bigint | null = null
          for (const vector of at.values()) {
            const next = vector.get(`${fleet.topicId}/${partition}`)
            if (next !== undefined && (least === null || next < least)) least = next
          }
          if (least !== null && least < start)
            return say(
              'passed',
              null,
              `topic ${fleet.topicUrl} partition ${partition} begins at ${start}, and the old side stands at ${least}`,
            )
        }
        const stoppedAtMs = dataOf(run).heldSinceMs
        if (ms !== null && stoppedAtMs !== undefined)
          ends.push({
            untilMs: stoppedAtMs + Number(ms),
            because: `topic ${fleet.topicUrl} keeps ${ms} ms: then the old side’s next records are gone`,
          })
      } finally {
        await topic.close()
      }
    }
    const first = ends.toSorted((a, b) => a.untilMs - b.untilMs)[0]
    if (first === undefined) return say('open', null, 'the old fleet is stopped, and the topic keeps everything')
    return first.untilMs <= atMs ? say('passed', first.untilMs, first.because) : say('until', first.untilMs, first.because)
  } catch (error) {
    return say('unknown', null, error instanceof Error ? error.message : String(error))
  }
}
