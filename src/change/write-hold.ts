/**
 * Gates hold the writes of a shard whose server is being exchanged, as in a switch (PROTOCOLS 3, step 2): it spares clients errors, safety does not
 * need it. Whoever settles the change lets go, so a controller that dies holds nobody for longer than the next one takes to lead; and a gate lets
 * nobody wait past its own bound.
 */
import type { Clock } from '../base/clock.ts'
import { gatesAcknowledged } from '../switch/acknowledge.ts'
import { defaultSwitchLimits } from '../switch/context.ts'
import { decide, takeRouting } from '../switch/decide.ts'
import type { RoutingVersion } from '../switch/decide.ts'
import { componentOfShard, holdStill, letGo } from '../topology/routing.ts'
import type { Store } from '../topology/store.ts'
import type { Leadership } from '../workflow/context.ts'

export type HoldContext = { readonly store: Store; readonly clock: Clock; readonly leadership: Leadership }

/** Resolves when gates hold and what was open has ended, or time for that is up; with the record, and how many gates hold. */
export async function holdWrites(
  { store, clock, leadership }: HoldContext,
  keyspace: string,
  shard: string,
): Promise<{ routing: RoutingVersion; gates: number }> {
  const base = await takeRouting({ store, clock, leadership }, keyspace)
  const range = componentOfShard(base.value, shard)?.range
  if (range === undefined) return { routing: base, gates: 0 }
  const sinceMs = clock.nowMs()
  const hold = { sinceMs, untilMs: sinceMs + defaultSwitchLimits.holdMs }
  const step = { ranges: [range], token: leadership.token, hold }
  const routing = await decide({ store, clock, leadership }, keyspace, base, (record) => holdStill(record, step), [range])
  const { gates } = await gatesAcknowledged({
    store,
    keyspace,
    version: routing.version,
    seenMs: defaultSwitchLimits.seenMs,
    graceMs: defaultSwitchLimits.graceMs,
    clock,
    signal: leadership.signal,
  })
  return { routing, gates }
}

/** Repeatable; nothing where nothing is held, or a switch holds. */
export async function letWritesGo({ store, clock, leadership }: HoldContext, keyspace: string, shard: string): Promise<void> {
  const base = await takeRouting({ store, clock, leadership }, keyspace)
  const component = componentOfShard(base.value, shard)
  if (component === undefined || component.hold === null || component.phase !== 'stable') return
  const step = { ranges: [component.range], token: leadership.token }
  await decide({ store, clock, leadership }, keyspace, base, (record) => letGo(record, step), [component.range])
}
