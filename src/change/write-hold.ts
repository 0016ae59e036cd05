/**
 * Gates hold the writes of a shard whose server is being exchanged, as in a switch (PROTOCOLS 3, step 2): it spares clients errors, safety does not
 * need it. Whoever settles the change lets go, so a controller that dies holds nobody for longer than the next one takes to lead; and a gate lets
 * nobody wait past its own bound.
 */
import type { Clock } from '../base/clock.ts'
import { gatesAcknowledged } from '../switch/acknowledge.ts'
import type { Acknowledgement } from '../switch/acknowledge.ts'
import { defaultSwitchLimits } from '../switch/context.ts'
import { decide, takeRouting } from '../switch/decide.ts'
import type { RoutingVersion } from '../switch/decide.ts'
import type { RoutingComponent } from '../topology/records.ts'
import { componentOfShard, holdStill, letGo } from '../topology/routing.ts'
import type { Store } from '../topology/store.ts'
import type { Leadership } from '../workflow/context.ts'
import { changeErrors } from './errors.ts'

export type HoldContext = { readonly store: Store; readonly clock: Clock; readonly leadership: Leadership }

/** Resolves when gates hold and what was open has ended, or time for that is up; with the record, and how many gates hold. */
export async function holdWrites(
  context: HoldContext,
  keyspace: string,
  shard: string,
): Promise<{ routing: RoutingVersion; gates: number }> {
  const base = await takeRouting(context, keyspace)
  const range = componentOfShard(base.value, shard)?.range
  if (range === undefined) return { routing: base, gates: 0 }
  return holdRanges(context, keyspace, base, [range])
}

/** Of every shard of a keyspace. @throws SW-CHANGE-050 when a gate still writes */
export async function holdAllWrites(context: HoldContext, keyspace: string): Promise<void> {
  const base = await takeRouting(context, keyspace)
  const ranges = base.value.components.map((component) => component.range)
  const { silent, open } = await holdRanges(context, keyspace, base, ranges, { seenMs: 3000, graceMs: 3000 })
  if (silent.length === 0 && open === 0) return
  await letAllWritesGo(context, keyspace)
  throw changeErrors.gatesWrite({ keyspace, gates: open === 0 ? silent.join(', ') : `${open} transactions are open` })
}

async function holdRanges(
  { store, clock, leadership }: HoldContext,
  keyspace: string,
  base: RoutingVersion,
  ranges: readonly string[],
  { seenMs, graceMs }: { readonly seenMs: number; readonly graceMs: number } = defaultSwitchLimits,
): Promise<Acknowledgement & { routing: RoutingVersion }> {
  const sinceMs = clock.nowMs()
  const hold = { sinceMs, untilMs: sinceMs + defaultSwitchLimits.holdMs }
  const step = { ranges, token: leadership.token, hold }
  const routing = await decide({ store, clock, leadership }, keyspace, base, (record) => holdStill(record, step), ranges)
  const acknowledged = await gatesAcknowledged({
    store,
    keyspace,
    version: routing.version,
    seenMs,
    graceMs,
    clock,
    signal: leadership.signal,
  })
  return { routing, ...acknowledged }
}

/** Repeatable; nothing where nothing is held, or a switch holds. */
export async function letWritesGo(context: HoldContext, keyspace: string, shard: string): Promise<void> {
  const base = await takeRouting(context, keyspace)
  const component = componentOfShard(base.value, shard)
  if (component !== undefined) await letRangesGo(context, keyspace, base, [component])
}

export async function letAllWritesGo(context: HoldContext, keyspace: string): Promise<void> {
  const base = await takeRouting(context, keyspace)
  await letRangesGo(context, keyspace, base, base.value.components)
}

async function letRangesGo(
  context: HoldContext,
  keyspace: string,
  base: RoutingVersion,
  components: readonly RoutingComponent[],
): Promise<void> {
  const held = components.filter(({ hold, phase }) => hold !== null && phase === 'stable')
  if (held.length === 0) return
  const ranges = held.map(({ range }) => range)
  await decide(context, keyspace, base, (record) => letGo(record, { ranges, token: context.leadership.token }), ranges)
}
