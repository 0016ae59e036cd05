/**
 * Replicas of the side that is to serve (PROTOCOLS 3, "Partial"; the gates' reads at `@replica`): as many as on the serving side, each of them
 * replicating and known to be within the limit. Unknown blocks (promise 6). A way back is never blocked by them, only told of: undoing must be as
 * fast as doing (promise 5).
 */
import type { SwError } from '../base/errors.ts'
import type { Clock } from '../base/clock.ts'
import type { Connection } from '../mysql/connection.ts'
import { flavourOf } from '../mysql/flavour/flavour.ts'
import { keys } from '../topology/keys.ts'
import type { ShardRecord } from '../topology/records.ts'
import type { Store } from '../topology/store.ts'
import { listRecords } from '../topology/typed.ts'
import type { SwitchLimits } from './context.ts'
import { switchErrors } from './errors.ts'
import type { SwitchPlan } from './plan.ts'
import { connectAs, readServerAccess } from './server-access.ts'

type Needs = { readonly store: Store; readonly clock: Clock }
type Findings = { blockers: SwError[]; notes: string[] }

/** A look that takes longer than this is not waited for: what it would have shown is unknown. */
const lookMsMax = 5_000

/** Before a switch of writes, which takes replica reads along. */
export async function replicaFindings(needs: Needs, plan: SwitchPlan, limits: Pick<SwitchLimits, 'lagMs' | 'replicas'>): Promise<Findings> {
  const shards = await shardsByUid(needs.store, plan.keyspace)
  const count = (uid: string): number => shards.get(uid)?.replicas?.length ?? 0
  const wanted = Math.max(0, ...plan.from.shards.map((shard) => count(shard.uid)))
  const fewer = plan.to.shards.filter((shard) => count(shard.uid) < wanted)
  const to = plan.to.shards.flatMap((shard) => shards.get(shard.uid) ?? [])
  const unfit = await unfitReplicas(needs, to, limits.lagMs)
  const found: Findings = { blockers: [], notes: [] }
  if (fewer.length > 0) {
    const each = fewer.map((shard) => `${shard.shard} ${count(shard.uid)}`).join(', ')
    const error = switchErrors.fewerReplicas({ keyspace: plan.keyspace, shard: fewer[0]?.shard ?? '', wanted, each })
    if (limits.replicas === 'required') found.blockers.push(error)
    else found.notes.push(`fewer replicas than the serving side, whose shards have up to ${wanted}: ${each}`)
  }
  if (limits.replicas === 'told') found.notes.push(...unfit.map((error) => error.message))
  else found.blockers.push(...unfit)
  return found
}

/** Before replica reads move alone: each of these shards needs a replica that can be read at once. */
export async function replicaReadFindings(needs: Needs, keyspace: string, names: readonly string[], lagMs: number): Promise<SwError[]> {
  const shards = [...(await shardsByUid(needs.store, keyspace)).values()].filter((shard) => names.includes(shard.name))
  const none = shards.filter((shard) => (shard.replicas ?? []).length === 0)
  return [...none.map((shard) => switchErrors.noReplicas({ keyspace, shard: shard.name })), ...(await unfitReplicas(needs, shards, lagMs))]
}

async function unfitReplicas(needs: Needs, shards: readonly ShardRecord[], lagMs: number): Promise<SwError[]> {
  const found = await Promise.all(shards.map((shard) => unfitOf(needs, shard, lagMs)))
  return found.flat()
}

async function unfitOf({ store, clock }: Needs, shard: ShardRecord, lagMs: number): Promise<SwError[]> {
  const replicas = shard.replicas ?? []
  if (replicas.length === 0) return []
  const { keyspace, name } = shard
  const atMs = clock.monotonicMs()
  let position: string
  try {
    await using primary = await connectAs(await readServerAccess(store, shard.serverId), 'admin')
    position = await flavourOf(primary).executedPosition(primary)
  } catch (error) {
    const reason = `its primary ${shard.serverId} does not say what it has executed: ${(error as Error).message}`
    return replicas.map((server) => switchErrors.replicaUnfit({ server, keyspace, shard: name, reason }))
  }
  const untilMs = atMs + Math.min(lagMs, lookMsMax)
  const reasons = await Promise.all(
    replicas.map(async (server): Promise<SwError[]> => {
      const reason = await connectAs(await readServerAccess(store, server), 'admin').then(
        (connection) => behind(connection, position, clock, untilMs),
        (error: Error) => `it cannot be reached: ${error.message}`,
      )
      return reason === null ? [] : [switchErrors.replicaUnfit({ server, keyspace, shard: name, reason })]
    }),
  )
  return reasons.flat()
}

/** Null: it has executed the position in time. */
async function behind(connection: Connection, position: string, clock: Clock, untilMs: number): Promise<string | null> {
  try {
    for (;;) {
      const { runs, has } = await flavourOf(connection).replication(connection, [position])
      if (!runs) return 'its replication does not run'
      if (has[0] === true) return null
      if (has[0] !== false) return 'how far it is behind is unknown: it has no GTIDs'
      if (clock.monotonicMs() >= untilMs) return 'it did not execute in time what its primary had'
      await clock.sleep(20)
    }
  } catch (error) {
    return `how far it is behind is unknown: ${(error as Error).message}`
  } finally {
    connection.destroy()
  }
}

async function shardsByUid(store: Store, keyspace: string): Promise<Map<string, ShardRecord>> {
  return new Map((await listRecords<ShardRecord>(store, keys.shards(keyspace))).map((one) => [one.value.uid, one.value]))
}
