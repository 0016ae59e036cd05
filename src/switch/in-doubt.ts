/**
 * Transactions over several shards of which a side knows the outcome (gate/xa.ts, docs/decisions/015). The server of the shard that one touched first has its decision; a branch
 * that is prepared elsewhere, as its server did not answer in time, learns of it only there. A side that is closed, or gone, tells nobody: the branch would stay in doubt and an acknowledged
 * COMMIT be lost. So a side is left only when no server that serves has such a branch; one that can not be asked may have one.
 *
 * Asked twice: before clients are held, when what is found may be a COMMIT under way, which is gone a moment later; and under the fence, when that side takes no decision any more: its
 * servers refuse it, and where only schemas are closed the gates themselves do (gate/xa.ts, `decide`).
 *
 * What is prepared after that look has no decision and gets none: its gate is refused, and rolls it back. Where that gate dies first, no other one knows the decider, which serves no more:
 * the leader ends it (`endInDoubt`), in the gates' own way: who inserts first under the transaction's id has decided. It looks for as long as the side is there, and a last time before
 * `complete` takes it away. Nothing is prepared before the decider's server has the table of decisions.
 */
import type { Clock } from '../base/clock.ts'
import type { Log } from '../base/log.ts'
import type { Connection } from '../mysql/connection.ts'
import { judge } from '../mysql/decisions.ts'
import { isServerError } from '../mysql/errors.ts'
import { flavourOf, type XaTransaction } from '../mysql/flavour/flavour.ts'
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
type Going = readonly { readonly uid: string; readonly serverId: string }[]

const lookEveryMs = 50
/** A server that has not answered by then may have one. */
const silentMs = 5_000
/** MariaDB: the connection that prepared it lives. */
const unknownXid = 1397

/**
 * @param goes the shards that are left
 * @param patienceMs for what is found at first to end
 * @throws SW-SWITCH-053 something has not ended; SW-SWITCH-024 of a server that can not be asked, or says nothing
 */
export async function requireNoneInDoubt(
  { store, pool, clock }: Context,
  goes: Going,
  patienceMs: number,
  signal: AbortSignal,
): Promise<void> {
  if (!(await anyDecided(pool, goes, signal))) return
  const servers = await servingServers(store)
  const silent = new Set<string>()
  const limit = AbortSignal.timeout(patienceMs + silentMs)
  const within = AbortSignal.any([signal, limit])
  const untilMs = clock.monotonicMs() + patienceMs
  let found: string[] | null = null
  const look = async (id: string): Promise<string[]> => {
    silent.add(id)
    const there = await prepared(pool, id, goes, within)
    silent.delete(id)
    return there.map(({ gtrid }) => `${gtrid.toString('latin1')} on ${id}`)
  }
  try {
    for (;;) {
      const now = (await settled(servers.map(look))).flat()
      found = found === null ? now : found.filter((one) => now.includes(one))
      if (found.length === 0) return
      if (clock.monotonicMs() >= untilMs) throw switchErrors.inDoubt({ branches: found.join(', ') })
      await clock.sleep(lookEveryMs, signal)
    }
  } catch (error) {
    if (!limit.aborted || signal.aborted || silent.size === 0) throw error
    throw switchErrors.serverUnreachable({
      server: [...silent].join(', '),
      reason: `it has not said within ${(patienceMs + silentMs) / 1000} s which transactions are prepared there`,
    })
  }
}

/** Ends what is prepared where it serves and was to be decided by one of these shards, which serve no more. What can not be ended now is looked at again by the next call. */
export async function endInDoubt(
  { store, pool, log }: Omit<Context, 'clock'> & { readonly log: Log },
  goes: Going,
  signal: AbortSignal,
): Promise<void> {
  if (!(await anyDecided(pool, goes, signal))) return
  const serverOf = new Map(goes.map(({ uid, serverId }) => [uid, serverId]))
  for (const id of await servingServers(store)) {
    try {
      for (const { gtrid, bqual } of await prepared(pool, id, goes, signal)) {
        const outcome = await pool.run(
          serverOf.get(deciderOf(gtrid.toString('latin1')) ?? '') ?? '',
          ({ connection }) => judge(connection, gtrid),
          signal,
        )
        const xid = `X'${gtrid.toString('hex')}',X'${bqual.toString('hex')}'`
        await pool.run(id, ({ connection }) => connection.query(`XA ${outcome.toUpperCase()} ${xid}`), signal)
        log.warn({ xid, outcome, server: id }, 'a transaction that was in doubt, of a shard that serves no more, was ended')
      }
    } catch (error) {
      signal.throwIfAborted()
      if (!isServerError(error, unknownXid))
        log.warn({ server: id, error: String(error) }, 'transactions in doubt could not be ended there yet')
    }
  }
}

async function anyDecided(pool: ClaimPool, goes: Going, signal: AbortSignal): Promise<boolean> {
  const deciders = [...new Set(goes.map((shard) => shard.serverId))]
  return (await settled(deciders.map((id) => pool.run(id, ({ connection }) => hasDecided(connection), signal)))).includes(true)
}

async function hasDecided(connection: Connection): Promise<boolean> {
  const sql = `SELECT COUNT(*) FROM information_schema.TABLES WHERE TABLE_SCHEMA = '${controlSchema}' AND TABLE_NAME = 'control_decision'`
  return (await connection.value(sql)) !== '0'
}

async function prepared(pool: ClaimPool, serverId: string, goes: Going, signal: AbortSignal): Promise<XaTransaction[]> {
  const uids = new Set(goes.map((shard) => shard.uid))
  const all = await pool.run(serverId, ({ connection }) => flavourOf(connection).xaRecover(connection), signal)
  return all.filter(({ gtrid }) => uids.has(deciderOf(gtrid.toString('latin1')) ?? ''))
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
