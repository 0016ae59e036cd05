/**
 * Transactions over several shards of which a side knows the outcome (gate/xa.ts, docs/decisions/015). The server of the shard that one touched first has its decision; a branch
 * that is prepared elsewhere, as its server did not answer in time, learns of it only there. A side that is closed, or gone, tells nobody: the branch would stay in doubt and an acknowledged
 * COMMIT be lost. So a side is left only when no server that serves has such a branch; one that can not be asked may have one.
 *
 * Asked twice: before clients are held, when what is found may be a COMMIT under way, which is gone a moment later; and under the fence, when that side can take no decision any more. What
 * is prepared after that look has none, and never will: its gate is refused, and rolls it back. So `complete` need not ask again. Nothing is prepared before the decider's server has the
 * table of decisions.
 */
import type { Clock } from '../base/clock.ts'
import type { Connection } from '../mysql/connection.ts'
import { flavourOf } from '../mysql/flavour/flavour.ts'
import { controlSchema, deciderOf } from '../mysql/our-schema.ts'
import { keys } from '../topology/keys.ts'
import type { RoutingRecord, ShardRecord } from '../topology/records.ts'
import { servesPrimary } from '../topology/routing.ts'
import type { Store } from '../topology/store.ts'
import { listRecords } from '../topology/typed.ts'
import type { ClaimPool } from './claim.ts'
import { switchErrors } from './errors.ts'
import { settled } from './settled.ts'

type Context = { readonly store: Store; readonly pool: ClaimPool; readonly clock: Clock }

const lookEveryMs = 50

/**
 * @param goes the shards that are left
 * @param patienceMs for what is found at first to end
 * @throws SW-SWITCH-053 something has not ended; of a server that can not be asked
 */
export async function requireNoneInDoubt(
  { store, pool, clock }: Context,
  goes: readonly { readonly uid: string; readonly serverId: string }[],
  patienceMs: number,
  signal?: AbortSignal,
): Promise<void> {
  const deciders = [...new Set(goes.map((shard) => shard.serverId))]
  const made = await settled(deciders.map((id) => pool.run(id, ({ connection }) => hasDecided(connection), signal)))
  if (!made.includes(true)) return
  const servers = await servingServers(store)
  const uids = new Set(goes.map((shard) => shard.uid))
  const untilMs = clock.monotonicMs() + patienceMs
  let found: string[] | null = null
  for (;;) {
    const now = (await settled(servers.map((id) => pool.run(id, ({ connection }) => prepared(connection, id, uids), signal)))).flat()
    found = found === null ? now : found.filter((one) => now.includes(one))
    if (found.length === 0) return
    if (clock.monotonicMs() >= untilMs) throw switchErrors.inDoubt({ branches: found.join(', ') })
    await clock.sleep(lookEveryMs, signal)
  }
}

async function hasDecided(connection: Connection): Promise<boolean> {
  const sql = `SELECT COUNT(*) FROM information_schema.TABLES WHERE TABLE_SCHEMA = '${controlSchema}' AND TABLE_NAME = 'control_decision'`
  return (await connection.value(sql)) !== '0'
}

async function prepared(connection: Connection, serverId: string, uids: ReadonlySet<string>): Promise<string[]> {
  const all = (await flavourOf(connection).xaRecover(connection)).map(({ gtrid }) => gtrid.toString('latin1'))
  return all.filter((gtrid) => uids.has(deciderOf(gtrid) ?? '')).map((gtrid) => `${gtrid} on ${serverId}`)
}

/** A transaction may have touched any keyspace. */
async function servingServers(store: Store): Promise<string[]> {
  const [routings, shards] = await Promise.all([
    listRecords<RoutingRecord>(store, keys.routings),
    listRecords<ShardRecord>(store, keys.allShards),
  ])
  const byKeyspace = new Map(routings.map(({ key, value }) => [key.slice(keys.routings.length), value]))
  const serving = shards.flatMap(({ value: { keyspace, name, serverId } }) => {
    const record = byKeyspace.get(keyspace)
    return record !== undefined && servesPrimary(record, name) ? [serverId] : []
  })
  return [...new Set(serving)]
}
