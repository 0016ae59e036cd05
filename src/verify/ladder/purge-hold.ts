/**
 * Purge as a rung needs it: held back, or at rest. A hold is a time in the fleets' records, renewed while we work, so that a process that dies holds
 * nothing for long. It ends no purge that is under way, and each branch purges in its own time: for a while one of them lacks rows that the other still
 * has, which says nothing of either.
 *
 * At rest: every shard of both branches has one floor per table, and nothing below it that a purge takes. Floors only rise, and a purge raises them before it takes a row: the
 * same floors before and after some reads, with nothing below them before, mean that no purge came between.
 */
import { allTables } from '../../ingest/definition.ts'
import { noFloor } from '../../ingest/position-sql.ts'
import { isPurged } from '../../ingest/purge.ts'
import { table } from '../../ingest/tables.ts'
import type { Connection } from '../../mysql/connection.ts'
import { quoteString } from '../../sql/quote.ts'
import type { FleetRecord } from '../../topology/dualwrite-records.ts'
import { keys } from '../../topology/keys.ts'
import { updateRecord } from '../../topology/typed.ts'
import type { LadderWorld } from './world.ts'

const holdMs = 60_000

/** Nothing is purged meanwhile, but for what was under way. */
export function withPurgeHeld<T>(world: LadderWorld, work: () => Promise<T>): Promise<T> {
  return withHold(world, 'purgeHeldUntilMs', work)
}

/** No floor is raised meanwhile, and every branch comes to those that stand, within moments (ingest/purge-round.ts). */
export function withFloorsHeld<T>(world: LadderWorld, work: () => Promise<T>): Promise<T> {
  return withHold(world, 'floorHeldUntilMs', work)
}

async function withHold<T>(world: LadderWorld, hold: 'purgeHeldUntilMs' | 'floorHeldUntilMs', work: () => Promise<T>): Promise<T> {
  const { store, clock, log } = world
  const names = world.pairs.flatMap((pair) => [pair.old.name, pair.new.name])
  const setAll = async (untilMs: (now: number) => number): Promise<void> => {
    for (const name of names)
      await updateRecord<FleetRecord>(store, keys.fleet(name), (fleet) => {
        if (fleet === null) return null
        const had = fleet[hold] ?? 0
        const wanted = untilMs(had)
        return wanted === had ? null : { ...fleet, [hold]: wanted }
      })
  }
  let heldUntilMs = 0
  const renew = (): Promise<void> => {
    heldUntilMs = clock.nowMs() + holdMs
    return setAll((now) => Math.max(now, heldUntilMs))
  }
  await renew()
  const stop = new AbortController()
  const renewing = (async () => {
    while (!stop.signal.aborted) {
      await clock.sleep(holdMs / 3, stop.signal).catch(() => undefined)
      if (!stop.signal.aborted) await renew().catch((error: unknown) => log.warn({ error, hold }, 'purge could not be held back longer'))
    }
  })()
  try {
    return await work()
  } finally {
    stop.abort()
    await renewing
    // What another comparison has set further is theirs.
    await setAll((now) => (now > heldUntilMs ? now : 0)).catch((error: unknown) =>
      log.warn({ error, hold }, 'purge is held back until its time is over'),
    )
  }
}

/** `floors`: as text, the same while nothing is purged. `because`: what is under way. */
export type PurgeRest = { readonly ok: true; readonly floors: string } | { readonly ok: false; readonly because: string }

export async function purgeAtRest(world: LadderWorld): Promise<PurgeRest> {
  const all: string[] = []
  for (const { definition, old, new: fresh } of world.pairs) {
    const found = (
      await Promise.all(
        [
          { side: world.old, branchId: old.branchId },
          { side: world.new, branchId: fresh.branchId },
        ].flatMap(({ side, branchId }) =>
          side.shards.map(async (ref) => {
            const where = `shard_uid=${quoteString(ref.uid)} AND branch_id=${quoteString(branchId)}`
            return { ref, floors: await world.sessions.reader(ref.serverId, (connection) => readFloors(connection, where)) }
          }),
        ),
      )
    ).map(({ ref, floors }) => ({ ref, floorOf: (name: string): number => floors.get(name) ?? noFloor }))
    for (const expiring of allTables(definition)) {
      if (expiring.bucket === null || expiring.retentionMs === null) continue
      const floors = new Set(found.map(({ floorOf }) => floorOf(expiring.table)))
      const [floor = noFloor] = floors
      if (floors.size > 1) return { ok: false, because: `${expiring.table} is purged on some shards and not yet on others` }
      if (floor === noFloor) continue
      all.push(`${expiring.table} ${floor}`)
      const purged = await Promise.all(
        found.map(({ ref }) => world.sessions.reader(ref.serverId, (connection) => isPurged(connection, ref, expiring, floor))),
      )
      const slow = found.filter((_, i) => purged[i] === false).map(({ ref }) => ref.shard)
      if (slow.length > 0) return { ok: false, because: `${expiring.table} is being purged on ${slow.join(', ')}` }
    }
  }
  return { ok: true, floors: all.join('; ') }
}

/** By table, ms, of the rows that meet `where`; of several branch ids in it the greatest. */
export async function readFloors(connection: Connection, where: string): Promise<Map<string, number>> {
  const floors = new Map<string, number>()
  for (const row of await connection.allText(`SELECT table_name,floor_ms FROM ${table.floor} WHERE ${where}`)) {
    const name = row['table_name'] ?? ''
    floors.set(name, Math.max(floors.get(name) ?? -Infinity, Number(row['floor_ms'])))
  }
  return floors
}
