/**
 * Commits to the routing record. Each is a compare-and-set of the whole record's version under the leader's lease, so of two
 * outcomes that were prepared on one version at most one takes effect.
 *
 * - Lost to another component's change: read again and go on if our own components and the token are as they were.
 * - No answer: read back before anything else. Ours stands: done. Version unchanged: commit again on the same version, so that a late
 *   first one and this one cannot both take effect. Otherwise somebody else decided (SW-SWITCH-010).
 */
import { assert } from '../base/assert.ts'
import type { Clock } from '../base/clock.ts'
import { isSwError } from '../base/errors.ts'
import { keys } from '../topology/keys.ts'
import type { RoutingComponent, RoutingRecord } from '../topology/records.ts'
import type { RoutingChange } from '../topology/routing.ts'
import { takeToken } from '../topology/routing.ts'
import type { Put, Store } from '../topology/store.ts'
import { put, readRecord } from '../topology/typed.ts'
import type { Versioned } from '../topology/typed.ts'
import type { Leadership } from '../workflow/context.ts'
import { switchErrors } from './errors.ts'

export type DecideContext = {
  store: Store
  leadership: Leadership
  clock: Clock
  /** What goes into the same commit, to tell of it. */
  decided?: (keyspace: string, before: RoutingRecord, after: RoutingRecord) => readonly Put[]
}

export type RoutingVersion = Versioned<RoutingRecord>

export async function readRouting(store: Store, keyspace: string): Promise<RoutingVersion> {
  const record = await readRecord<RoutingRecord>(store, keys.routing(keyspace))
  if (record === null) throw switchErrors.shardUnknown({ kind: 'routing of keyspace', name: keyspace })
  return record
}

/** The token first: from then on every commit prepared by an older leader fails. */
export async function takeRouting(context: DecideContext, keyspace: string): Promise<RoutingVersion> {
  const current = await readRouting(context.store, keyspace)
  if (current.value.token === context.leadership.token) return current
  return commitDecision(context, keyspace, current, (record) => takeToken(record, context.leadership.token), [])
}

/** Applies `change` on the version in hand; `ranges` are the components that it concerns. */
export async function decide(
  context: DecideContext,
  keyspace: string,
  base: RoutingVersion,
  change: (record: RoutingRecord) => RoutingChange,
  ranges: readonly string[],
  also: readonly Put[] = [],
): Promise<RoutingVersion> {
  // With none, any newer record of the same token would be taken for the outcome of this commit.
  assert(ranges.length > 0, 'a decision names the ranges that it concerns')
  return commitDecision(context, keyspace, base, change, ranges, also)
}

async function commitDecision(
  context: DecideContext,
  keyspace: string,
  base: RoutingVersion,
  change: (record: RoutingRecord) => RoutingChange,
  ranges: readonly string[],
  also: readonly Put[] = [],
): Promise<RoutingVersion> {
  const { store, leadership, clock } = context
  const key = keys.routing(keyspace)
  const own = (record: RoutingRecord): string =>
    JSON.stringify(record.components.filter((component: RoutingComponent) => ranges.includes(component.range)))
  const before = own(base.value)
  let current = base
  const attemptsMax = 200
  for (let attempt = 0; attempt < attemptsMax; attempt++) {
    leadership.signal.throwIfAborted()
    const next = change(current.value)
    if (!next.ok) throw next.error
    const told = context.decided?.(keyspace, current.value, next.record) ?? []
    let refused: readonly string[] | null = null
    try {
      const result = await store.commit([{ key, version: current.version }, leadership.fence], [put(key, next.record), ...also, ...told])
      if (result.ok) return { key, value: next.record, version: result.revision }
      refused = result.conflicts
    } catch (error) {
      if (!isSwError(error) || (error.class !== 'unknown' && error.class !== 'transient')) throw error
      // A store that cannot be read says nothing either way; until it answers there is no effect of ours.
      await clock.sleep(Math.min(5 * (attempt + 1), 200), leadership.signal)
    }
    if (refused?.includes(leadership.fence.key) === true)
      throw switchErrors.decisionLost({ keyspace, reason: 'this controller does not lead any more' })
    const now = await readBack(context, keyspace)
    if (now.version !== current.version && own(now.value) === own(next.record) && now.value.token === next.record.token) return now
    if (own(now.value) !== before) throw switchErrors.decisionLost({ keyspace, reason: `its phase is now ${phases(now.value, ranges)}` })
    current = now
  }
  throw switchErrors.decisionLost({ keyspace, reason: `${attemptsMax} attempts met other changes` })
}

async function readBack(context: DecideContext, keyspace: string): Promise<RoutingVersion> {
  for (;;) {
    try {
      return await readRouting(context.store, keyspace)
    } catch (error) {
      if (!isSwError(error) || error.class === 'user' || error.code === 'SW-SWITCH-030') throw error
      await context.clock.sleep(50, context.leadership.signal)
    }
  }
}

function phases(record: RoutingRecord, ranges: readonly string[]): string {
  return [...new Set(record.components.filter((c) => ranges.includes(c.range)).map((c) => c.phase))].join(', ') || 'gone'
}
