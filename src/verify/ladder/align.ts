/**
 * Both branches at one offset vector, for as long as `work` lasts: the fleets are told to stop writing each partition exactly there, and go on
 * afterwards, whatever happened. Neither branch misses anything: a held fleet reads on from where it stands.
 */
import { keys } from '../../topology/keys.ts'
import type { FleetRecord, FleetReport } from '../../topology/dualwrite-records.ts'
import { listRecords } from '../../topology/typed.ts'
import { pauseFleet, resumeFleets } from './pause.ts'
import { readApplied, short, topicEnds } from './positions.ts'
import type { Vector } from './positions.ts'
import type { LadderWorld } from './world.ts'

/** Consumers report once a second; what they say of where shards stand only ever lags. */
const reportMs = 3000
const attemptsMax = 6

export type Aligned<T> =
  | { readonly ok: true; readonly alignMs: number; readonly value: T }
  | { readonly ok: false; readonly because: string }

export async function withAligned<T>(world: LadderWorld, work: () => Promise<T>): Promise<Aligned<T>> {
  const { clock } = world
  const fleets = world.pairs.flatMap((pair) => [pair.old, pair.new])
  const startedMs = clock.monotonicMs()
  try {
    // Consumers learn of a hold while they write, and what they had read before may pass the vector: then the greatest offset that was reached
    // anywhere is the next vector, until nobody passes it.
    let target = await topicEnds(world)
    for (let attempt = 1; attempt <= attemptsMax; attempt++) {
      const problem = (await holdAll(world, fleets, target)) ?? (await untilThere(world, target))
      if (problem !== null) return { ok: false, because: problem }
      const reached = await reachedBy(world, target)
      if (!equal(reached, target)) {
        target = reached
        continue
      }
      const alignMs = clock.monotonicMs() - startedMs
      const value = await work()
      // Positions only grow: equal before and after is equal all the while.
      target = await reachedBy(world, target)
      if (equal(target, reached)) return { ok: true, alignMs, value }
    }
    return { ok: false, because: `its consumers went past ${attemptsMax} vectors in turn` }
  } finally {
    await resumeFleets(world, fleets)
  }
}

/** Tells all consumers where to stop, and waits until each has said that it has heard. */
async function holdAll(world: LadderWorld, fleets: readonly FleetRecord[], target: Vector): Promise<string | null> {
  for (const fleet of fleets) {
    const holdAt = Object.fromEntries(
      [...target]
        .filter(([key]) => key.startsWith(`${fleet.topicId}/`))
        .map(([key, offset]) => [key.slice(fleet.topicId.length + 1), String(offset)]),
    )
    await pauseFleet(world, fleet.name, { holdAt })
  }
  const sinceMs = world.clock.nowMs()
  const heard = async (): Promise<string[]> => {
    const deaf: string[] = []
    for (const fleet of fleets)
      for (const { value: report } of await listRecords<FleetReport>(world.store, keys.fleetReportsOf(fleet.name)))
        if (report.state !== 'stopped' && (report.state !== 'held' || report.atMs <= sinceMs))
          deaf.push(`${fleet.name} ${report.consumer} (${report.state})`)
    return deaf
  }
  return within(world, async () => {
    const deaf = await heard()
    return deaf.length === 0 ? null : `consumers that do not stand still: ${deaf.join(', ')}`
  })
}

function untilThere(world: LadderWorld, target: Vector): Promise<string | null> {
  return within(world, async () => {
    const behind = (await applied(world))
      .map(([shard, vector]) => ({ shard, lacks: short(vector, target) }))
      .filter(({ lacks }) => lacks > 0n)
    return behind.length === 0 ? null : `not at one vector: ${behind.map(({ shard, lacks }) => `${shard} lacks ${lacks}`).join(', ')}`
  })
}

/** The greatest offsets that any shard stands at; `target` itself while nobody is past it. */
async function reachedBy(world: LadderWorld, target: Vector): Promise<Map<string, bigint>> {
  const out = new Map(target)
  for (const [, vector] of await applied(world))
    for (const [key, offset] of vector) if (offset > (out.get(key) ?? -1n)) out.set(key, offset)
  return out
}

function equal(a: Vector, b: Vector): boolean {
  return a.size === b.size && [...a].every(([key, offset]) => b.get(key) === offset)
}

/** Null once `look` finds nothing to complain of; else what it last complained of. */
async function within(world: LadderWorld, look: () => Promise<string | null>): Promise<string | null> {
  const { clock, options, signal } = world
  const endMs = clock.monotonicMs() + options.alignMsMax
  for (;;) {
    signal.throwIfAborted()
    const problem = await look()
    if (problem === null) return null
    if (clock.monotonicMs() > endMs) return `${problem}, after ${options.alignMsMax} ms`
    await clock.sleep(40, signal)
  }
}

async function applied(world: LadderWorld): Promise<[string, Vector][]> {
  const sinceMs = world.clock.nowMs() - reportMs
  const sides = await Promise.all([
    readApplied(
      world,
      world.old,
      world.pairs.map((pair) => pair.old),
      sinceMs,
    ),
    readApplied(
      world,
      world.new,
      world.pairs.map((pair) => pair.new),
      sinceMs,
    ),
  ])
  return sides.flatMap((side, i) =>
    [...side].map(([shard, vector]): [string, Vector] => [`${(i === 0 ? world.old : world.new).keyspace}/${shard}`, vector]),
  )
}
