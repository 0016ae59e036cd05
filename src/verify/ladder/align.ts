/**
 * Both branches at one offset vector, for as long as `work` lasts: the fleets are told to stop writing each partition exactly there, and go on
 * afterwards, whatever happened. Neither branch misses anything: a held fleet reads on from where it stands.
 */
import { keys } from '../../topology/keys.ts'
import type { FleetRecord } from '../../topology/dualwrite-records.ts'
import { updateRecord } from '../../topology/typed.ts'
import { readApplied, short, topicEnds } from './positions.ts'
import type { LadderWorld } from './world.ts'

export type Aligned<T> =
  | { readonly ok: true; readonly alignMs: number; readonly value: T }
  | { readonly ok: false; readonly because: string }

export async function withAligned<T>(world: LadderWorld, work: () => Promise<T>): Promise<Aligned<T>> {
  const { clock, options, store, log } = world
  const fleets = world.pairs.flatMap((pair) => [pair.old, pair.new])
  const startedMs = clock.monotonicMs()
  const sinceMs = clock.nowMs()
  const target = await topicEnds(world)
  try {
    for (const fleet of fleets) {
      const holdAt = Object.fromEntries(
        [...target]
          .filter(([key]) => key.startsWith(`${fleet.topicId}/`))
          .map(([key, offset]) => [key.slice(fleet.topicId.length + 1), String(offset)]),
      )
      await updateRecord<FleetRecord>(store, keys.fleet(fleet.name), (current) => (current === null ? null : { ...current, holdAt }))
    }
    for (;;) {
      world.signal.throwIfAborted()
      const [before, after] = await Promise.all([
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
      const past = [...before, ...after].find(([, vector]) => [...vector].some(([key, offset]) => offset > (target.get(key) ?? offset)))
      if (past !== undefined)
        return { ok: false, because: `shard ${past[0]} went past the vector: its consumers do not stop where they are told to` }
      const missing = [...before, ...after]
        .map(([shard, vector]) => ({ shard, lacks: short(vector, target) }))
        .filter(({ lacks }) => lacks > 0n)
      if (missing.length === 0) break
      if (clock.monotonicMs() - startedMs > options.alignMsMax)
        return {
          ok: false,
          because: `not at one vector within ${options.alignMsMax} ms: ${missing.map(({ shard, lacks }) => `${shard} lacks ${lacks}`).join(', ')}`,
        }
      await clock.sleep(50, world.signal)
    }
    const alignMs = clock.monotonicMs() - startedMs
    return { ok: true, alignMs, value: await work() }
  } finally {
    for (const fleet of fleets)
      await updateRecord<FleetRecord>(store, keys.fleet(fleet.name), (current) =>
        current === null || current.holdAt === null ? null : { ...current, holdAt: null },
      ).catch((error: unknown) => log.error({ error, fleet: fleet.name }, 'the fleet still has its hold'))
  }
}
