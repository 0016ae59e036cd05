/**
 * Servers that were given up as primaries are kept closed until they are replicas (`shard add-replica`), whoever starts or opens them. One that was
 * down when it was given up comes back open, with clients that know its address: it is closed as soon as it answers, before anything else is done
 * with it. What is to be closed is a record of the topology, written in the commit that gave the server up, so the next leader goes on with it.
 *
 * It holds no shard, so no switch opens it; `set-primary` and `add-replica` take its record away in the commit that gives it a place again, and the
 * record is read anew in the keyspace's turn before the server is touched.
 */
import { connect } from '../mysql/connect.ts'
import type { ClaimPool } from '../switch/claim.ts'
import { closeServer, describeOpen, isClosed, prepareFence, settledFenceState } from '../switch/fence.ts'
import type { KeyspaceTurns } from '../switch/turns.ts'
import { keys } from '../topology/keys.ts'
import type { GivenUpServer, ServerRecord, ServerSecret, ShardRecord } from '../topology/records.ts'
import { placeOfServer } from '../topology/server-place.ts'
import { listRecords, readRecord, updateRecord } from '../topology/typed.ts'
import { AuditTrail } from '../workflow/audit.ts'
import { controllerName, type Leadership } from '../workflow/context.ts'
import { whileLeading } from '../workflow/while-leading.ts'
import { shardLog } from './replicas.ts'
import type { World } from './servers.ts'

type Needs = Pick<World, 'store' | 'clock' | 'log'>

const answerMs = 1_000

/** In the keyspace's turn. Rejects when the server does not answer. */
export async function closeGivenUp({ store, clock, log }: Needs, pool: ClaimPool, leadership: Leadership, key: string): Promise<void> {
  const record = await readRecord<GivenUpServer>(store, key)
  if (record === null) return
  const { serverId, keyspace, shard, allowUnfenced, closed } = record.value
  const place = await readRecord<ShardRecord>(store, keys.shard(keyspace, shard))
  const opened = await pool.run(serverId, async (server) => {
    const state = await settledFenceState(server.connection, server.ours, { allowUnfenced }, clock)
    if (isClosed(state)) return null
    await prepareFence(server, place === null ? [] : [place.value.schema], clock)
    await closeServer(server, { allowUnfenced }, clock)
    return describeOpen(state)
  })
  if (opened === null && closed) return
  const what = `${serverId}, which was given up as the primary, ${opened === null ? 'is back and closed' : 'was open and is closed again'}`
  log.error({ keyspace, shard, server: serverId, opened }, what)
  const trail = new AuditTrail({
    store,
    clock,
    log,
    keyspace,
    workflow: shardLog(shard),
    actor: controllerName(leadership),
    verb: 'set-primary',
    action: '',
  })
  const outcome = opened === null ? 'closed' : `closed; it was open: ${opened}. What clients wrote there since then is on no other server`
  trail.append('step', what, { outcome })
  await trail.flush()
  await updateRecord<GivenUpServer>(store, key, (now) => (now === null ? null : { ...now, closed: true }), [leadership.fence])
}

/** While this leader leads. Servers that are down are asked outside of turns: they must not hold up whatever else goes on in the keyspace. */
export async function watchGivenUp(
  world: Needs,
  pool: ClaimPool,
  turns: Pick<KeyspaceTurns, 'idle' | 'run'>,
  leadership: Leadership,
  everyMs: number,
): Promise<void> {
  const { store, clock, log } = world
  const failing = 'a server that was given up could not be closed yet; trying again'
  await whileLeading({ clock, log, leadership, everyMs, begins: 'at once', failing }, async () => {
    const records = await listRecords<GivenUpServer>(store, keys.allGivenUp)
    await Promise.all(
      records.map(async ({ key, value }) => {
        if (!turns.idle(value.keyspace) || !(await answers(store, value.serverId))) return
        await turns.run(value.keyspace, () => closeGivenUp(world, pool, leadership, key))
      }),
    )
  })
}

async function answers(store: Needs['store'], serverId: string): Promise<boolean> {
  const server = await readRecord<ServerRecord>(store, keys.server(serverId))
  const secret = await readRecord<ServerSecret>(store, keys.secret(serverId))
  if (server === null || secret === null) return false
  return connect({ ...placeOfServer(server.value), ...secret.value.admin, connectTimeoutMs: answerMs }).then(
    (connection) => connection.close().then(() => true),
    () => false,
  )
}
