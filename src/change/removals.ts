/**
 * What is to be removed from servers, as records of the topology: written in the commit that takes a branch, a keyspace or a scratch out of it, and gone
 * once nothing of it stands any more. So a process that dies between the two leaves nothing behind that nobody knows of: the next leader goes on
 * with it, and whoever makes a branch of that name anew ends it first.
 *
 * One at a time does it, by a lease: names of schemas and servers come again, and a second one that is slow would remove what has been made anew by then. So each step
 * asks just before it acts whether the lease still is ours and the record still stands; a schema is dropped under a lock of its server beside, which a process that
 * was paused in between still has.
 *
 * Never removed, whatever a record says: a server or a schema that a shard of the topology stands on now.
 */
import { table as ingestTable } from '../ingest/tables.ts'
import type { Connection } from '../mysql/connection.ts'
import { errno, isServerError } from '../mysql/errors.ts'
import { flavourOf } from '../mysql/flavour/flavour.ts'
import { quoteIdentifier, quoteString } from '../sql/quote.ts'
import { keepLease } from '../topology/kept-lease.ts'
import { keys } from '../topology/keys.ts'
import type { Installation, Removal, ShardRecord } from '../topology/records.ts'
import type { Put } from '../topology/store.ts'
import { absent, listRecords, put, readRecord, unchanged } from '../topology/typed.ts'
import type { Leadership } from '../workflow/context.ts'
import { whileLeading } from '../workflow/while-leading.ts'
import { putBackUnread } from './binlog-retention.ts'
import { changeErrors } from './errors.ts'
import { removeServer, withServerFor } from './servers.ts'
import type { World } from './servers.ts'

const lookEveryMs = 30_000
const leaseTtlMs = 30_000
/** Longer than a lease whose holder has died. */
const waitMs = 45_000
/** Of one server for one removal: others wait behind it, for the name and for the leader's next look. */
const serverMsMax = 30_000
/** For what clients hold: by default a server waits for a year. */
const heldSMax = 3

/** For the commit that takes these shards out of the topology. */
export function removalPut(name: string, shards: readonly ShardRecord[]): Put {
  return put<Removal>(keys.removal(name), { v: 1, shards: [...shards], branchIds: [], notBeforeMs: 0 })
}

/**
 * For a commit before schemas beside a shard's are made: whoever makes them removes them before, unless it dies. Schemas alone: that nothing of the topology is left on the
 * server says nothing of what else is kept there on purpose.
 */
export function scratchPut(name: string, shards: readonly ShardRecord[], branchIds: readonly string[], notBeforeMs: number): Put {
  return put<Removal>(keys.removal(name), { v: 1, only: 'schemas', shards: [...shards], branchIds: [...branchIds], notBeforeMs })
}

/**
 * Nothing where there is none. Rejects when a server can't be reached: the record stays.
 *
 * @param whoElse what becomes of it while somebody else is at it
 * @throws SW-CHANGE-062 when that takes long
 */
export async function finishRemoval(world: World, name: string, whoElse: 'is waited for' | 'goes on' = 'is waited for'): Promise<void> {
  const { store, clock } = world
  const [key, claim] = [keys.removal(name), keys.removing(name)]
  if ((await store.get(key)) === null) return
  await using lease = await keepLease(store, { ttlMs: leaseTtlMs, clock })
  const untilMs = clock.monotonicMs() + waitMs
  for (;;) {
    const record = await readRecord<Removal>(store, key)
    if (record === null) return
    const taken = await store.commit([absent(claim), unchanged(record)], [{ key: claim, value: { v: 1 }, leaseId: lease.id }])
    if (taken.ok) {
      const ours = async (): Promise<boolean> => lease.valid() && (await store.get(key))?.version === record.version
      await remove(world, record.value, ours)
      await store.commit([unchanged(record)], [{ key, value: undefined }])
      return
    }
    if (whoElse === 'goes on') return
    if (clock.monotonicMs() > untilMs) throw changeErrors.removalUnderWay({ name })
    await clock.sleep(200)
  }
}

async function remove(world: World, { shards, branchIds, only }: Removal, ours: () => Promise<boolean>): Promise<void> {
  await removeShardPlaces(world, shards, { ours, servers: only === 'schemas' ? 'stay' : 'too' })
  for (const id of new Set(shards.map((shard) => shard.serverId)))
    if (branchIds.length > 0 && (await world.store.get(keys.server(id))) !== null)
      await withServerFor(world, id, { ms: serverMsMax, doing: 'DELETE of positions of branches that are no more' }, (connection) =>
        forgetPositions(connection, branchIds),
      )
}

/** While this leader leads; retention of binlogs is put back with it. */
export function watchRemovals(world: World, leadership: Leadership): Promise<void> {
  const { store, clock, log } = world
  const failing = 'what is to be removed is not yet'
  return whileLeading({ clock, log, leadership, everyMs: lookEveryMs, begins: 'at once', failing }, async () => {
    for (const { key, value } of await listRecords<Removal>(store, keys.removals)) {
      if (clock.nowMs() < value.notBeforeMs) continue
      await finishRemoval(world, key.slice(keys.removals.length), 'goes on').catch((error: unknown) =>
        log.warn({ key, error: String(error) }, failing),
      )
    }
    await putBackUnread(world, (line) => log.info({}, line))
  })
}

/** What stands on servers for shards that no record names any more. `ours`: whether it still is this caller's to do. */
export async function removeShardPlaces(
  world: World,
  shards: readonly ShardRecord[],
  { ours = async () => true, servers = 'too' }: { ours?: () => Promise<boolean>; servers?: 'too' | 'stay' } = {},
): Promise<string[]> {
  const lines: string[] = []
  const installation = (await readRecord<Installation>(world.store, keys.installation))?.value.id ?? ''
  /** Asked anew before each: a shard may have been made there meanwhile. */
  const others = async (): Promise<ShardRecord[]> => {
    if (!(await ours())) throw changeErrors.removalTaken({ servers: [...new Set(shards.map((shard) => shard.serverId))].join(', ') })
    return (await listRecords<ShardRecord>(world.store, keys.allShards)).map((record) => record.value)
  }
  for (const id of new Set(shards.map((shard) => shard.serverId))) {
    const used = async (): Promise<boolean> => (await others()).some((other) => other.serverId === id)
    if (servers === 'too' && (await removeServer(world, id, used))) {
      lines.push(`server ${id}, which we made, is removed`)
      continue
    }
    // Removed by an attempt before this one, with all that stood on it.
    if ((await world.store.get(keys.server(id))) === null) continue
    for (const shard of shards.filter((one) => one.serverId === id && one.provisioned)) {
      const stands = async (): Promise<boolean> => (await others()).some((other) => other.serverId === id && other.schema === shard.schema)
      if (await stands()) continue
      const limit = { ms: serverMsMax, doing: `DROP DATABASE ${quoteIdentifier(shard.schema)}` }
      const dropped = await withServerFor(world, id, limit, (connection) =>
        dropSchema(connection, { installation, server: id, schema: shard.schema, stands }),
      )
      if (dropped) lines.push(`schema ${shard.schema} on ${id} is dropped`)
    }
  }
  return lines
}

/** The lock goes with the session: one that was paused before its DROP has it still, and nobody removes and makes anew meanwhile. */
async function dropSchema(
  connection: Connection,
  { installation, server, schema, stands }: { installation: string; server: string; schema: string; stands: () => Promise<boolean> },
): Promise<boolean> {
  // Of this installation, as all our locks: names are the whole server's.
  const lock = quoteString(`sw:${installation}:removal`)
  if ((await connection.value(`SELECT GET_LOCK(${lock}, 10)`)) !== '1') throw changeErrors.removalUnderWay({ name: schema })
  await connection.query(`SET SESSION lock_wait_timeout = ${heldSMax}`)
  if (await stands()) return false
  try {
    await connection.query(`DROP DATABASE IF EXISTS ${quoteIdentifier(schema)}`)
  } catch (error) {
    if (!isServerError(error) || error.kind !== 'lockWait') throw error
    const holders = await mayHold(connection, schema).catch(() => 'sessions that cannot be listed')
    throw changeErrors.removalHeld({ schema, server, seconds: heldSMax, holders }, error)
  }
  return true
}

/** Who holds it is nowhere to be read on MariaDB; whoever does has a transaction open. */
async function mayHold(connection: Connection, schema: string): Promise<string> {
  const namedMax = 5
  const others = (await flavourOf(connection).sessions(connection, 'start')).filter(
    (session) => session.id !== connection.threadId && (session.transaction !== null || session.schema === schema),
  )
  const named = others.slice(0, namedMax).map(({ id, user, host }) => `session ${id} of ${user}@${host}`)
  if (named.length === 0) return 'a session that is not seen'
  return `one of: ${named.join(', ')}${others.length > namedMax ? ' …' : ''}`
}

/** Where fleets of branches that are no more stood. */
export async function forgetPositions(connection: Connection, branchIds: readonly string[]): Promise<void> {
  if (branchIds.length === 0) return
  const ids = branchIds.map(quoteString).join(',')
  for (const name of Object.values(ingestTable))
    await connection.query(`DELETE FROM ${name} WHERE branch_id IN (${ids})`).catch((error: unknown) => {
      // Whoever was to make it has died before.
      if (!isServerError(error, errno.noSuchTable, errno.badDatabase)) throw error
    })
}
